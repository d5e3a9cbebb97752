"""One call of a consumer by its server."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from channels.exceptions import AcceptConnection, DenyConnection, StopConsumer

from .. import context
from ..events import MESSAGE
from .deliveries import Delivery

if TYPE_CHECKING:
    from ..tracing.sockets import ConnectionSpans

__all__ = ["ChannelCall", "ConsumerCall", "Receive", "Send", "is_failure"]

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


def is_failure(error: BaseException | None) -> bool:
    """Whether a consumer failed with *error*: not by what it steers with, nor because nobody waits any more."""
    steering = StopConsumer | DenyConnection | AcceptConnection | asyncio.CancelledError | GeneratorExit
    return error is not None and not isinstance(error, steering)


class ConsumerCall(ABC):
    """A WebSocket connection, an HTTP request, or a channel that a worker process listens on.

    Attributes:
        first_delivery: the delivery of the call itself, around those of its messages.
        log_messages: whether each message has a line of its own.
        spans: those of a connection, where OpenTelemetry is on.
    """

    spans: "ConnectionSpans | None" = None

    def __init__(self, log_messages: bool) -> None:
        self.first_delivery = Delivery.first(object())
        self.log_messages = log_messages

    def receiving(self, receive: Receive) -> Receive:
        """Return *receive*, watched."""
        return receive

    def sending(self, send: Send) -> Send:
        """Return *send*, watched."""
        return send

    @contextmanager
    def turn(self) -> Generator[None]:
        """Dispatch one message in the block, all dispatches inside it included."""
        yield

    @abstractmethod
    def trace(self, consumer: str) -> None:
        """Begin the call's span, now that OpenTelemetry is on.

        Args:
            consumer: the name of the consumer's class.
        """

    def traced(self, message: Any) -> AbstractContextManager[None]:
        """Return a block in which *message*, of the client, is handled: in a span of its own, where it has one."""
        return nullcontext()

    @abstractmethod
    def enter_message(self, parcel: context.Parcel, own: AbstractSet[str]) -> context.Scope:
        """Enter the scope of a channel layer's message.

        Args:
            parcel: what the message carried.
            own: the keys that belong to an id.
        """

    @abstractmethod
    def update_user(self, scope: Mapping[str, Any] | None) -> None:
        """Bind the user again where the consumer, whose *scope* it is, has logged one in or out."""

    @abstractmethod
    def fail(self, error: BaseException) -> None:
        """Note what ended the consumer."""

    def close(self) -> None:
        """Log the closing event, if there was none, and leave the scope."""
        self.first_delivery.forget()


class ChannelCall(ConsumerCall):
    """A channel that a worker process listens on: no connection, no events, a scope for each message."""

    def trace(self, consumer: str) -> None:
        """There is no handshake."""

    def enter_message(self, parcel: context.Parcel, own: AbstractSet[str]) -> context.Scope:
        """Enter a scope with all that the sender had, and a new id where it had none."""
        fields = {"request.id": parcel.request_id or context.new_request_id(), **parcel.fields}
        return context.enter_root(MESSAGE, fields, own=own)

    def update_user(self, scope: Mapping[str, Any] | None) -> None:
        """There is none."""

    def fail(self, error: BaseException) -> None:
        """There is no closing event to tell it."""
