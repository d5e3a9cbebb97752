"""The channel layer that carries the sender's context with each message, around any other layer."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from channels.exceptions import InvalidChannelLayerError
from channels.layers import BaseChannelLayer, ChannelLayerManager, channel_layers
from django.utils.module_loading import import_string

from .. import context
from ..config import get_settings
from ..context import CONTEXT_KEY
from ..guard import never_raises, wrap_method
from ..logging import get_logger
from .messages import without_context

__all__ = ["TelemetryChannelLayer", "install"]

#: The rest is the wrapped layer's; so what it holds is only found by a name that no layer has.
_OWN = frozenset({"_dtx_layer", "send", "group_send", "receive", "new_channel", "group_add"})
_log = get_logger("dtx_telemetry.layers")


class TelemetryChannelLayer(BaseChannelLayer):
    """Wraps the layer that ``BACKEND`` names, and is it in everything but sending, receiving and subscribing.

    ``CHANNEL_LAYERS = {"default": {"BACKEND": "dtx_telemetry.layers.TelemetryChannelLayer",
    "CONFIG": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [...]}}}}``

    Args:
        BACKEND: the dotted path of the wrapped layer's class.
        CONFIG: its keyword arguments.

    Raises:
        InvalidChannelLayerError: there is no such class.
    """

    # The names are those of Channels' own configuration.
    def __init__(self, BACKEND: str, CONFIG: dict[str, Any] | None = None) -> None:
        try:
            backend = import_string(BACKEND)
        except ImportError as error:
            raise InvalidChannelLayerError(f"Cannot import BACKEND {BACKEND!r} for TelemetryChannelLayer") from error
        self._dtx_layer = backend(**(CONFIG or {}))

    # What BaseChannelLayer defines must come from the wrapped layer too, which may override any of it; hence not __getattr__.
    def __getattribute__(self, name: str) -> Any:
        if name in _OWN or (name.startswith("__") and name != "__class__"):
            return object.__getattribute__(self, name)
        return getattr(object.__getattribute__(self, "_dtx_layer"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN:
            object.__setattr__(self, name, value)
        else:
            setattr(self._dtx_layer, name, value)

    def __delattr__(self, name: str) -> None:
        if name in _OWN:
            object.__delattr__(self, name)
        else:
            delattr(self._dtx_layer, name)

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        """Send *message*, with the context of here, to *channel*."""
        await self._dtx_layer.send(channel, _with_context(message))

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Send *message*, with the context of here, to every channel of *group*."""
        await self._dtx_layer.group_send(group, _with_context(message))

    async def receive(self, channel: str) -> Any:
        """Return the next message of *channel*; no handler finds our key in it, a decorated consumer its context beside it."""
        return without_context(await self._dtx_layer.receive(channel))

    async def new_channel(self, *args: Any, **kwargs: Any) -> Any:
        """Return a new channel's name. What the layer starts for good, a task that receives for all, has nobody's context."""
        with _nobodys_context():
            return await self._dtx_layer.new_channel(*args, **kwargs)

    async def group_add(self, group: str, channel: str) -> Any:
        """Add *channel* to *group*, in nobody's context as well."""
        with _nobodys_context():
            return await self._dtx_layer.group_add(group, channel)


def install() -> None:
    """Wrap every layer that Channels makes from ``CHANNEL_LAYERS``, which so may stay as it is; a second call does nothing."""
    wrap_method(ChannelLayerManager, "make_backend", _making_wrapped)
    # Those that were made before; whoever keeps such a one in a global sends without the context.
    channel_layers.backends.update({name: _around(layer) for name, layer in channel_layers.backends.items()})


def _making_wrapped(make: Callable[[ChannelLayerManager, str], Any]) -> Callable[[ChannelLayerManager, str], Any]:
    def make_wrapped(self: ChannelLayerManager, name: str) -> Any:
        return _around(make(self, name))

    return make_wrapped


def _around(layer: Any) -> Any:
    if type(layer) is TelemetryChannelLayer:
        return layer
    wrapper = TelemetryChannelLayer.__new__(TelemetryChannelLayer)
    wrapper._dtx_layer = layer
    return wrapper


def _with_context(message: dict[str, Any]) -> dict[str, Any]:
    """Return *message* with the context under its one key; the sender's own dict is not changed."""
    carried = _carried() if isinstance(message, dict) else None
    return {**message, CONTEXT_KEY: carried} if carried else message


@contextmanager
def _nobodys_context() -> Generator[None]:
    scope = _enter_nobodys()
    try:
        yield
    finally:
        if scope is not None:
            context.leave(scope)


@never_raises
def _enter_nobodys() -> context.Scope | None:
    settings = get_settings()
    return context.enter_root({}, own=settings.own_keys) if settings.enabled else None


@never_raises
def _carried() -> dict[str, Any] | None:
    """Return the context that goes along, ``None`` where telemetry is off."""
    settings = get_settings()
    if not settings.enabled:
        return None
    parcel = context.carry_out(context.outgoing_fields(settings.propagate))
    if parcel.problems:
        _log.warning("context_not_carried_whole", fields=parcel.problems)
    return parcel.fields if parcel.request_id is None else {"request.id": parcel.request_id, **parcel.fields}
