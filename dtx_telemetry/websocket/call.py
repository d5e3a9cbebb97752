"""One call of a consumer by its server: a WebSocket connection, an HTTP request, or a channel that a worker listens on."""

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from typing import Any, TypeVar

from channels.exceptions import StopConsumer

from .. import context
from ..config import get_settings
from ..events import MESSAGE, Kind
from ..guard import never_raises, report
from .asgi_scope import fields_of, is_unknown, user_id_of
from .messages import Handle, is_failure

__all__ = ["ChannelCall", "ConsumerCall", "Receive", "Send"]

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
_R = TypeVar("_R")


class ConsumerCall:
    """A WebSocket connection or an HTTP request: one scope, in a context of its own.

    The server's context stays as it was, and what happens elsewhere (in a task that a handler started, as the process ends)
    comes back to the scope by this one. A subclass says what it notes of the messages and how it ends.

    Args:
        scope: ASGI's.
        consumer: the name of the consumer's class.
        log_messages: whether each message has a line of its own.
        own: fields that the scope has besides.

    Attributes:
        identity: see `dtx_telemetry.websocket.messages.Receiver`.
    """

    kind: Kind

    def __init__(self, scope: Mapping[str, Any], consumer: str, log_messages: bool, **own: Any) -> None:
        self.identity = object()
        self.log_messages = log_messages
        self._asgi = scope
        self._consumer = consumer
        self._settings = get_settings()
        self._user: Any = None
        self._unsent: OSError | None = None
        #: Whether the client went away, or the server gave it up.
        self._gone = False
        self._turns = 0
        #: What the application had bound when the consumer closed a connection before it accepted it.
        self._refused: dict[str, Any] | None = None
        self._context = copy_context()
        self._scope = self._context.run(self._enter, {**fields_of(scope, self._settings), **own})

    def _enter(self, fields: dict[str, Any]) -> context.Scope:
        self._request_id: str = fields["request.id"]
        self._scope = context.enter_root(self.kind, fields, own=self._settings.own_keys, about=self._about())
        # In the scope, so that what is said about a user that cannot be read bears its id.
        self.update_user(self._asgi)
        return self._scope

    def serve(self, call: Callable[[Receive, Send], Awaitable[Any]], receive: Receive, send: Send) -> Awaitable[Any]:
        """Return what awaits *call*, the consumer's own, in the scope."""
        return context.run_in(self._context, self._serve(call, receive, send))

    async def _serve(self, call: Callable[[Receive, Send], Awaitable[Any]], receive: Receive, send: Send) -> Any:
        try:
            return await call(self._receiving(receive), self._sending(send))
        except BaseException as error:
            self._fail(error)
            raise
        finally:
            self.end()
            self._unsent = None  # its traceback holds this call
            self._scope.leave()

    async def handle_clients(self, handle: Handle, message: Any) -> Any:
        """Handle a message of the client in the scope."""
        return await self.turn(handle(message))

    async def turn(self, handling: Awaitable[Any]) -> Any:
        """Await the *handling* of one message.

        A consumer that stops has ended, whatever Channels still waits for: a layer that loses its cancel never lets it go. A
        refusal is logged after the message that brought it, with the exception that may have followed.
        """
        self._turns += 1
        try:
            return await handling
        except BaseException as error:
            if self._turns == 1:
                self._turn_failed(error)
            raise
        finally:
            self._turns -= 1
            if self._refused is not None and not self._turns:
                self.end()

    def enter_message(self, parcel: context.Parcel, kind: str, trace: dict[str, str]) -> context.Scope:
        """Enter a scope inside this one's, with the sender's ids."""
        about = kind, trace, self._scope
        return context.enter_message(parcel, self._settings.own_keys, receiver=self._scope, about=about)

    def update_user(self, scope: Mapping[str, Any] | None) -> None:
        """Bind the user again if the consumer, whose *scope* it is, has logged one in or out. Raises nothing."""
        try:
            self._asgi = scope or self._asgi
            user = self._asgi.get("user")
            if self._settings.user_id_field is None or is_unknown(user):
                user = None
            if user is not self._user:
                self._user = user
                self._scope.set_field("user.id", user_id_of(user, self._settings))
        except Exception as error:  # not by `never_raises`, whose call each message would pay
            report("the user of a consumer", error)

    @never_raises
    def end(self) -> None:
        """Log the closing event in the scope itself, if there was none."""
        if not self._scope.ended:
            self._in_scope(self._end_with_user)

    def _end_with_user(self) -> None:
        self.update_user(None)
        self._end()

    def _in_scope(self, function: Callable[[], _R]) -> _R:
        """Call *function* in the scope, or in a block of the consumer's own in it, wherever this is called."""
        current = context.current_scope()
        if current is not None and current.own is self._scope.own:
            return function()
        return self._context.copy().run(self._scope.run, function)

    def _turn_failed(self, error: BaseException) -> None:
        if isinstance(error, StopConsumer):
            self.end()
        elif self._refused is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Note what ended the consumer."""
        if self._scope.ended:
            return
        if error is self._unsent or isinstance(error, asyncio.CancelledError | GeneratorExit):
            self._gone = True
        elif is_failure(error):
            self._scope.failure = error

    def _receiving(self, receive: Receive) -> Receive:
        """Return *receive*, watched."""

        async def received() -> Any:
            message = await receive()
            try:
                self._note_received(message)
            except Exception as error:
                report("a message from the client", error)
            return message

        return received

    def _sending(self, send: Send) -> Send:
        """Return *send*, watched."""

        async def sent(message: Any) -> None:
            try:
                await send(message)
            except OSError as error:
                # ASGI, "Send: connection scope": what a server raises if the client is gone already.
                self._unsent = error
                raise
            try:
                self._note_sent(message)
            except Exception as error:
                report("a message to the client", error)

        return sent

    def _about(self) -> object:
        """Return what tracing asks of the call, ``None`` for no span."""

    @abstractmethod
    def _note_received(self, message: Any) -> None:
        """Note a message that the consumer received."""

    @abstractmethod
    def _note_sent(self, message: Any) -> None:
        """Note a message that was sent."""

    @abstractmethod
    def _end(self) -> None:
        """Log the closing event."""


class ChannelCall:
    """A channel that a worker process listens on: no connection, no events, a scope for each message.

    Args:
        scope: ASGI's.
        consumer: the name of the consumer's class.
        log_messages: whether each message has a line of its own.
    """

    def __init__(self, scope: Mapping[str, Any], consumer: str, log_messages: bool) -> None:
        self.identity = object()
        self.log_messages = log_messages

    def serve(self, call: Callable[[Receive, Send], Awaitable[Any]], receive: Receive, send: Send) -> Awaitable[Any]:
        """Return what awaits *call*, the consumer's own."""
        return call(receive, send)

    async def handle_clients(self, handle: Handle, message: Any) -> Any:
        """Handle a message whose type is one of a client's."""
        return await handle(message)

    async def turn(self, handling: Awaitable[Any]) -> Any:
        """Await the *handling* of one message."""
        return await handling

    def enter_message(self, parcel: context.Parcel, kind: str, trace: dict[str, str]) -> context.Scope:
        """Enter a scope with all that the sender had, and a new id if it had none."""
        fields = {"request.id": parcel.request_id or context.new_request_id(), **parcel.fields}
        return context.enter_root(MESSAGE, fields, own=get_settings().own_keys, about=(kind, trace, None))

    def update_user(self, scope: Mapping[str, Any] | None) -> None:
        """Do nothing: a channel has no user."""

    def end(self) -> None:
        """Do nothing: a channel has no closing event."""
