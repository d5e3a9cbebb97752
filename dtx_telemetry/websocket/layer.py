"""The channel layer that carries the sender's context with each message, around any other layer."""

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from channels.exceptions import InvalidChannelLayerError
from channels.layers import BaseChannelLayer, ChannelLayerManager, channel_layers
from django.utils.module_loading import import_string

from .. import context
from ..config import get_settings
from ..context import CONTEXT_KEY
from ..guard import never_raises, wrap_method
from ..logging import get_logger
from ..tracing import TRACING
from .deliveries import note_received, outside, split_message

__all__ = ["TelemetryChannelLayer", "install"]

#: The rest is the wrapped layer's; so what it holds is only found by a name that no layer has.
_OWN = frozenset({"_dtx_layer", "send", "group_send", "receive"})
#: What may start something that serves every connection of the process: a task that receives, a pooled connection.
_STARTING = frozenset({"new_channel", "group_add", "group_discard", "flush"})
_REPLACEABLE = _OWN | _STARTING
_log = get_logger("dtx_telemetry.layers")


class TelemetryChannelLayer(BaseChannelLayer):
    """Wraps the layer that ``BACKEND`` names, and behaves like it, except that each message carries its sender's context.

    ``CHANNEL_LAYERS = {"default": {"BACKEND": "dtx_telemetry.layers.TelemetryChannelLayer",
    "CONFIG": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [...]}}}}``

    Args:
        BACKEND: the dotted path of the wrapped layer's class.
        CONFIG: its keyword arguments.

    Raises:
        InvalidChannelLayerError: there is no such class.

    .. versionadded:: 0.1.0
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
        if name not in _STARTING:
            return getattr(object.__getattribute__(self, "_dtx_layer"), name)
        replaced = object.__getattribute__(self, "__dict__").get(name)
        return replaced or _in_nobodys_context(getattr(object.__getattribute__(self, "_dtx_layer"), name))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _REPLACEABLE:
            object.__setattr__(self, name, value)
        else:
            setattr(self._dtx_layer, name, value)

    def __delattr__(self, name: str) -> None:
        if name in _REPLACEABLE:
            object.__delattr__(self, name)
        else:
            delattr(self._dtx_layer, name)

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        """Send *message*, with the context of here, to *channel*."""
        message = _with_context(message)
        with _outside(keep_fields=True):
            await self._dtx_layer.send(channel, message)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Send *message*, with the context of here, to every channel of *group*."""
        message = _with_context(message)
        with _outside(keep_fields=True):
            await self._dtx_layer.group_send(group, message)

    async def receive(self, channel: str) -> Any:
        """Return the next message of *channel*, without our key; a decorated consumer finds the context that it carried."""
        with _outside():
            message, carried = split_message(await self._dtx_layer.receive(channel))
        if _own_keys() is not None:
            note_received(message, carried)
        return message


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
    outgoing = _outgoing_context() if isinstance(message, dict) else None
    return {**message, CONTEXT_KEY: outgoing} if outgoing else message


def _in_nobodys_context(method: Any) -> Any:
    """Return *method*; where it is asynchronous, outside the scope of whoever calls it."""
    if not inspect.iscoroutinefunction(method):
        return method

    async def call(*args: Any, **kwargs: Any) -> Any:
        with _outside():
            return await method(*args, **kwargs)

    return functools.update_wrapper(call, method) if hasattr(method, "__name__") else call


def _outside(*, keep_fields: bool = False) -> AbstractContextManager[None]:
    """Be outside any scope and delivery for the block: what the layer starts in it and keeps holds neither."""
    own = _own_keys()
    if own is None:
        return nullcontext()
    span = TRACING.on.nobodys() if TRACING.on is not None and not keep_fields else None
    return outside(own, span, keep_fields=keep_fields)


@never_raises
def _own_keys() -> frozenset[str] | None:
    """Return the keys of scopes, ``None`` where telemetry is off."""
    settings = get_settings()
    return settings.own_keys if settings.enabled else None


@never_raises
def _outgoing_context() -> dict[str, Any] | None:
    """Return the context that goes along, ``None`` where none is to."""
    settings = get_settings()
    if not settings.enabled or not settings.carry_messages:
        return None
    parcel = context.carry_out(context.outgoing_fields(settings.propagate))
    if parcel.problems:
        _log.warning("context_not_carried_whole", fields=parcel.problems)
    outgoing = parcel.fields if parcel.request_id is None else {"request.id": parcel.request_id, **parcel.fields}
    if TRACING.on is not None:
        TRACING.on.inject(outgoing)
    return outgoing
