"""``@telemetry_consumer``: a scope for each connection of a consumer class, and for each message that others send it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar, overload

from channels.consumer import AsyncConsumer

from ..config import get_settings
from ..guard import never_raises, wrap_method
from . import messages
from .call import ChannelCall, ConsumerCall, Receive, Send
from .connection import Connection
from .http_request import ConsumerRequest
from .running import RunningCalls

__all__ = ["telemetry_consumer"]

_C = TypeVar("_C", bound=type[AsyncConsumer])
_Call = ConsumerCall | ChannelCall
_LOG_MESSAGES = "_dtx_log_messages"
_MISSING: Any = object()
_running: RunningCalls[_Call] = RunningCalls()


@overload
def telemetry_consumer(consumer: _C, /, *, log_messages: bool | None = None) -> _C: ...


@overload
def telemetry_consumer(*, log_messages: bool | None = None) -> Callable[[_C], _C]: ...


def telemetry_consumer(consumer: Any = _MISSING, /, *, log_messages: bool | None = None) -> Any:
    """Give every connection of *consumer* an id, its user and its labels, on all lines, and log how it began and ended.

    For any Channels consumer class, synchronous or asynchronous, of WebSockets, HTTP or channels. Returns the same class.
    A class whose base is decorated too is one consumer, not two. Written ``@telemetry_consumer``, ``@telemetry_consumer()``
    or ``@telemetry_consumer(log_messages=True)``.

    Args:
        consumer: the class.
        log_messages: whether each message has a line at level debug: ``ws_received``, ``ws_sent``, ``ws_handled``, with its
            type and size and never its content. ``None``: as a decorated base class has it, else no.

    Raises:
        TypeError: it is no consumer class, as what ``as_asgi()`` returns.

    .. versionadded:: 0.1.0
    """
    if consumer is _MISSING:
        return lambda decorated: telemetry_consumer(decorated, log_messages=log_messages)
    if not isinstance(consumer, type) or not issubclass(consumer, AsyncConsumer):
        raise TypeError(f"telemetry_consumer decorates a consumer class of Channels, not {consumer!r}{_hint(consumer)}")
    wrap_method(consumer, "__call__", _calling)
    wrap_method(consumer, "dispatch", _dispatching)
    if log_messages is not None:
        setattr(consumer, _LOG_MESSAGES, log_messages)
    return consumer


def _hint(given: Any) -> str:
    """Return what to write instead if *given* was made by ``as_asgi()``, else nothing."""
    name = getattr(getattr(given, "consumer_class", None), "__name__", None)
    return "" if name is None else f". Decorate the class, or write telemetry_consumer({name}).as_asgi()"


def _calling(call: Any) -> Any:
    async def call_in_scope(self: Any, scope: Any, receive: Receive, send: Send) -> Any:
        consumer_call = None if _running.get(id(self)) is not None else _begin(type(self), scope)
        if consumer_call is None:
            return await call(self, scope, receive, send)
        _running.add(self, consumer_call)
        try:
            return await consumer_call.serve(partial(call, self, scope), receive, send)
        finally:
            _running.remove(self)

    return call_in_scope


def _dispatching(dispatch: Any) -> Any:
    async def dispatch_in_scope(self: Any, message: Any) -> Any:
        handle = dispatch.__get__(self, type(self))
        consumer_call = _running.get(id(self))
        if consumer_call is None:
            return await handle(message)
        # A consumer that overrides __call__ may have no scope.
        consumer_call.update_user(getattr(self, "scope", None))
        return await messages.dispatch(consumer_call, handle, message)

    return dispatch_in_scope


@never_raises
def _begin(consumer: type, scope: Any) -> _Call | None:
    """Enter the scope of what *scope* describes, or return ``None`` if telemetry is off or the kind is unknown."""
    make = _CALLS.get(scope.get("type"))
    if make is None or not get_settings().enabled:
        return None
    # A subclass that is not decorated may have overridden it: the outermost is the one that meets each message first.
    wrap_method(consumer, "dispatch", _dispatching)
    return make(scope, consumer.__name__, getattr(consumer, _LOG_MESSAGES, False))


_CALLS: Mapping[str, Callable[[Any, str, bool], _Call]] = {
    "websocket": Connection,
    "http": ConsumerRequest,
    "channel": ChannelCall,
}
