"""The channel layer that carries the sender's context with each message, around any other layer."""

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from channels.exceptions import InvalidChannelLayerError
from channels.layers import BaseChannelLayer, ChannelLayerManager, channel_layers
from django.utils.module_loading import import_string

from .. import context
from ..config import Settings, get_settings
from ..context import CONTEXT_KEY
from ..events import CONTEXT_NOT_CARRIED_WHOLE
from ..guard import report, wrap_method
from ..logging import get_logger
from .messages import take_apart, without_context

__all__ = ["TelemetryChannelLayer", "install"]

#: What may start something that serves every connection of the process: a task that receives, a pooled connection.
_STARTING = frozenset({"new_channel", "group_add", "group_discard", "flush"})
#: What is set on the wrapper itself. All else that the wrapped layer holds is found by the names that it has there.
_OWN = frozenset({"_dtx_layer", "send", "group_send", "receive", "_receive"}) | _STARTING
_log = get_logger("dtx_telemetry.layers")


class TelemetryChannelLayer(BaseChannelLayer):
    """Wraps the layer that ``BACKEND`` names, and behaves like it, except that each message carries its sender's context.

    ``CHANNEL_LAYERS = {"default": {"BACKEND": "dtx_telemetry.layers.TelemetryChannelLayer",
    "CONFIG": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [...]}}}}``

    For `isinstance` it is one of the wrapped layer's class as well.

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

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._dtx_layer)

    def __getattr__(self, name: str) -> Any:
        if name == "_dtx_layer":  # in a copy that is not filled yet
            raise AttributeError(name)
        found = getattr(self._dtx_layer, name)
        return _outside(name, found) if name in _STARTING else found

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
        """Send *message*, with the current context, to *channel*."""
        message = _with_context(message)
        with context.no_scope():
            await self._dtx_layer.send(channel, message)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Send *message*, with the current context, to every channel of *group*."""
        message = _with_context(message)
        with context.no_scope():
            await self._dtx_layer.group_send(group, message)

    async def receive(self, channel: str) -> Any:
        """Return the next message of *channel*, equal to what was sent. A decorated consumer finds in it what it carried."""
        if (settings := _settings()) is None:
            return without_context(await self._dtx_layer.receive(channel))
        return take_apart(await context.run_in(context.outside_context(settings.own_keys), self._receive(channel)))

    async def _receive(self, channel: str) -> Any:
        return await self._dtx_layer.receive(channel)


class _WrappedName:
    """A name of Channels' base class, which the wrapped layer may override: found there."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, layer: TelemetryChannelLayer | None, owner: type) -> Any:
        return getattr(BaseChannelLayer, self._name) if layer is None else layer.__getattr__(self._name)


for _name in vars(BaseChannelLayer).keys() - vars(TelemetryChannelLayer).keys():
    if not _name.startswith("__"):
        setattr(TelemetryChannelLayer, _name, _WrappedName(_name))


def install() -> None:
    """Wrap every layer that Channels makes, so that ``CHANNEL_LAYERS`` needs no change. A second call does nothing."""
    wrap_method(ChannelLayerManager, "make_backend", _making_wrapped)
    # Those that were made before. An application that keeps one of them in a global sends without the context.
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


def _outside(name: str, method: Any) -> Any:
    """Return *method*, called outside any scope if it is asynchronous: what the layer starts and keeps holds none."""
    if not _is_asynchronous(getattr(method, "__func__", method)):
        return method

    async def call(*args: Any, **kwargs: Any) -> Any:
        if (settings := _settings()) is None:
            return await method(*args, **kwargs)
        return await context.run_in(context.outside_context(settings.own_keys), method(*args, **kwargs))

    call.__name__ = call.__qualname__ = name
    return call


# Python unwraps what it is asked about: for each connection that costs as much as the call.
_is_asynchronous = lru_cache(maxsize=64)(inspect.iscoroutinefunction)


def _settings() -> Settings | None:
    """Return the settings, ``None`` if telemetry is off or they are wrong."""
    try:
        settings = get_settings()
    except Exception as error:  # they were changed under a running server
        report("the settings", error)
        return None
    return settings if settings.enabled else None


def _with_context(message: Any) -> Any:
    """Return *message* with the context under its one key, if there is one. The sender's own dict is not changed."""
    if (settings := _settings()) is None or not settings.carry_messages or not isinstance(message, dict):
        return message
    try:
        parcel = context.carry_out(context.outgoing_fields(settings.propagate))
        if parcel.problems:
            _log.warning(CONTEXT_NOT_CARRIED_WHOLE.name, fields=parcel.problems)
        outgoing = parcel.fields if parcel.request_id is None else {"request.id": parcel.request_id, **parcel.fields}
        context.inject(outgoing)
    except Exception as error:
        report("the context of a channel layer's message", error)
        return message
    return {**message, CONTEXT_KEY: outgoing} if outgoing else message
