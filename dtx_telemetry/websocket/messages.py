"""Messages of a consumer: what one of a channel layer carried, and the scope that it is handled in."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from traceback import walk_tb
from typing import Any, NamedTuple, Protocol

from channels.exceptions import AcceptConnection, DenyConnection, StopConsumer

from .. import context
from ..config import get_settings
from ..context import CONTEXT_KEY
from ..errors import add_steering
from ..events import CONTEXT_NOT_RESTORED_WHOLE, WS_HANDLED
from ..guard import report
from ..logging import get_logger

__all__ = [
    "CarryingMessage",
    "Handle",
    "Receiver",
    "dispatch",
    "is_failure",
    "is_of_a_message",
    "take_apart",
    "without_context",
]

Message = dict[str, Any]
#: Handles one message: the consumer's own ``dispatch``.
Handle = Callable[[Any], Awaitable[Any]]

# What a server sends to an application. A channel layer's messages have types of the application's own.
_CLIENTS_TYPES = ("websocket.connect", "websocket.receive", "websocket.disconnect", "http.request", "http.disconnect")
# What the propagators of OpenTelemetry put into a message: W3C's, B3's, Jaeger's and AWS's. Also if it is off here.
_TRACE_KEYS = frozenset(
    {"b3", "baggage", "traceparent", "tracestate", "uber-trace-id", "x-amzn-trace-id", "x-b3-flags", "x-b3-parentspanid"}
    | {"x-b3-sampled", "x-b3-spanid", "x-b3-traceid"}
)
_CONSUMERS_STEERING = (StopConsumer, DenyConnection, AcceptConnection)
add_steering(*_CONSUMERS_STEERING)
_log = get_logger("dtx_telemetry.websocket")


class CarryingMessage(dict[str, Any]):
    """A message as the channel layer returns it: equal to what was sent, and it holds what it carried.

    A copy of it, pickled or not, is a plain dict, and so is what a handler gets.
    """

    __slots__ = ("carried",)
    carried: Any

    def __reduce__(self) -> tuple[type[Message], tuple[Message]]:
        """Pickle and copy as a plain dict."""
        return dict, (dict(self),)


def take_apart(message: Any) -> Any:
    """Return *message*, which is not changed, as a `CarryingMessage`. What is no dict is returned as it is."""
    if not isinstance(message, dict):
        return message
    carrying = CarryingMessage(message)
    carrying.carried = carrying.pop(CONTEXT_KEY, None)
    return carrying


def without_context(message: Any) -> Any:
    """Return *message*, which is left as it is, without what it carried."""
    if not isinstance(message, dict) or CONTEXT_KEY not in message:
        return message
    return {key: value for key, value in message.items() if key != CONTEXT_KEY}


def is_failure(error: BaseException) -> bool:
    """Return False for the exceptions by which a consumer steers, and for cancellation, which is no failure."""
    return not isinstance(error, (*_CONSUMERS_STEERING, asyncio.CancelledError, GeneratorExit))


def is_of_a_message(error: BaseException) -> bool:
    """Return True if *error* was raised as a message was handled."""
    return any(frame.f_code is dispatch.__code__ for frame, _ in walk_tb(error.__traceback__))


class Receiver(Protocol):
    """One call of a consumer, which gets messages.

    Attributes:
        identity: tells one call from another. Context variables that outlive the call may hold it.
        log_messages: whether each message has a line of its own.
    """

    identity: object
    log_messages: bool

    async def handle_clients(self, handle: Handle, message: Message) -> Any:
        """Handle a message of the client."""

    async def turn(self, handling: Awaitable[Any]) -> Any:
        """Await the *handling* of one message."""

    def enter_message(self, parcel: context.Parcel, kind: str, trace: dict[str, str]) -> context.Scope:
        """Enter the scope of a channel layer's message.

        Args:
            parcel: what it carried.
            kind: its type.
            trace: the headers of the sender's span, as `dtx_telemetry.context.inject` put them in.
        """


class _Handling(NamedTuple):
    """The message that is handled in a context. It holds nothing of the consumer: pooled connections keep their opener's."""

    identity: object
    from_client: bool
    carried: Any

    def contains(self, from_client: bool, carried: Any) -> bool:
        """Return True if what is dispatched now is a part of it.

        An overriding ``dispatch`` hands on the same message or a changed copy, and a handler may dispatch messages of its own.
        """
        if self.from_client:
            return from_client
        return not from_client and (carried is None or carried == self.carried)


_handling: ContextVar[_Handling | None] = ContextVar("dtx_telemetry_handling", default=None)


async def dispatch(receiver: Receiver, handle: Handle, message: Any) -> Any:
    """Dispatch *message*: a client's as it is, a channel layer's in a scope of its own, and a part of another in that scope.

    Args:
        receiver: the call of the consumer.
        handle: its own ``dispatch``, which gets a plain dict.
        message: as it came, or as an overriding ``dispatch`` hands it on.
    """
    from_layer = type(message) is CarryingMessage
    if not from_layer and isinstance(message, dict) and CONTEXT_KEY in message:  # past a layer that is not ours
        message, from_layer = take_apart(message), True
    message, carried = (dict(message), message.carried) if from_layer else (message, None)
    from_client = not from_layer and isinstance(message, dict) and message.get("type") in _CLIENTS_TYPES
    around = _handling.get()
    if around is not None and around.identity is receiver.identity and around.contains(from_client, carried):
        return await handle(message)
    token = _handling.set(_Handling(receiver.identity, from_client, carried))
    try:
        if from_client:
            return await receiver.handle_clients(handle, message)
        return await receiver.turn(_handle_in_scope(receiver, handle, message, carried))
    finally:
        try:
            _handling.reset(token)
        except ValueError:  # the garbage collector ends this in another context
            pass


async def _handle_in_scope(receiver: Receiver, handle: Handle, message: Message, carried: Any) -> Any:
    scope = _enter(receiver, message, carried)
    if scope is None:
        return await handle(message)
    fields = {"ws.message_type": message.get("type")}
    try:
        result = await handle(message)
    except BaseException as error:
        is_handled = receiver.log_messages and not isinstance(error, asyncio.CancelledError | GeneratorExit)
        failure = is_failure(error)
        scope.end(WS_HANDLED, fields, error=error if failure else None, with_traceback=False, is_printed=is_handled)
        raise
    else:
        scope.end(WS_HANDLED, fields, is_printed=receiver.log_messages)
        return result
    finally:
        scope.leave()


def _enter(receiver: Receiver, message: Message, carried: Any) -> context.Scope | None:
    try:
        trace: dict[str, str] = {}
        if isinstance(carried, dict) and not _TRACE_KEYS.isdisjoint(carried):  # they are no fields
            trace = {key: carried[key] for key in _TRACE_KEYS & carried.keys() if isinstance(carried[key], str)}
            carried = {key: value for key, value in carried.items() if key not in _TRACE_KEYS}
        parcel = context.unpack_message_context(carried, get_settings().own_keys)
        scope = receiver.enter_message(parcel, str(message.get("type")), trace)
        if parcel.problems:
            _log.warning(CONTEXT_NOT_RESTORED_WHOLE.name, fields=parcel.problems)
    except Exception as error:
        report("the scope of a channel layer's message", error)
        return None
    return scope
