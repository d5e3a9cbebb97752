"""One call of a consumer that is a scope: a WebSocket connection or an HTTP request."""

import asyncio
from abc import abstractmethod
from collections.abc import Generator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any

from channels.exceptions import StopConsumer

from .. import context
from ..config import get_settings
from ..events import Kind
from ..guard import never_raises
from . import at_exit
from .asgi_scope import fields_of, known_user, user_id_of
from .consumer_call import ConsumerCall, Receive, Send, is_failure

__all__ = ["ScopedCall"]


class ScopedCall(ConsumerCall):
    """A WebSocket connection or an HTTP request.

    A subclass says what it notes of the messages (`_note_received`, `_note_sent`) and what it logs in the end (`_end`).
    """

    kind: Kind

    def __init__(self, scope: Mapping[str, Any], log_messages: bool, **own: Any) -> None:
        super().__init__(log_messages)
        self._asgi = scope
        self._settings = get_settings()
        self._user: Any = None
        self._unsent: OSError | None = None
        #: Whether the client went away, or the server gave it up.
        self._gone = False
        fields = {**fields_of(scope, self._settings), **own}
        self._request_id: str = fields["request.id"]
        self._scope = context.enter_root(self.kind, fields, own=self._settings.own_keys, about=self.about(scope))
        # In the scope, so that what is said about a user that cannot be read bears its id.
        self.update_user(scope)
        at_exit.watch(self)

    def about(self, scope: Mapping[str, Any]) -> Any:
        """Return what the participants of the scope want to know of the call."""

    def receiving(self, receive: Receive) -> Receive:
        """Return *receive*, watched."""

        async def received() -> Any:
            message = await receive()
            self._note_received(message)
            return message

        return received

    def sending(self, send: Send) -> Send:
        """Return *send*, watched."""

        async def sent(message: Any) -> None:
            try:
                await send(self._outgoing(message))
            except OSError as error:
                # ASGI, "Send: connection scope": what a server raises where the client is gone already.
                self._unsent = error
                raise
            self._note_sent(message)

        return sent

    @contextmanager
    def turn(self) -> Generator[None]:
        """Dispatch one message in the block; a consumer that stops in it has ended, whatever Channels still waits for.

        A layer that loses its cancel never lets the consumer go.
        """
        try:
            yield
        except StopConsumer:
            self.end()
            raise
        finally:
            self._remember()

    def enter_message(self, parcel: context.Parcel, own: AbstractSet[str]) -> context.Scope:
        """Enter a scope inside this one's, with the sender's ids."""
        return context.enter_message(parcel, own, receiver=self._scope)

    @never_raises
    def update_user(self, scope: Mapping[str, Any] | None) -> None:
        """Bind the user again where the consumer, whose *scope* it is, has logged one in or out."""
        self._asgi = scope or self._asgi
        user = known_user(self._asgi, self._settings)
        if user is not self._user:
            self._user = user
            self._scope.set_field("user.id", user_id_of(user, self._settings))

    def fail(self, error: BaseException) -> None:
        """Note what ended the consumer; the exceptions by which a consumer steers are no failures."""
        if self._scope.closed:
            return
        if error is self._unsent or isinstance(error, asyncio.CancelledError | GeneratorExit):
            self._gone = True
        elif is_failure(error):
            self._note_failure(error)

    def close(self) -> None:
        """Log the closing event, if there was none, and leave the scope."""
        super().close()
        at_exit.forget(self)
        try:
            self.end()
        finally:
            # Its traceback holds this call: neither would be freed before the garbage collector comes by.
            self._unsent = None
            self._scope.leave()

    @never_raises
    def end(self) -> None:
        """Log the closing event, if there was none, in the scope itself."""
        if self._scope.closed:
            return
        if context.current_scope() is self._scope:
            self.update_user(None)
            self._end()
            return
        with self._resumed():
            self.update_user(None)
            self._end()

    @never_raises
    def _remember(self) -> None:
        """Keep what the consumer has bound, for events that are logged elsewhere: in another task, or as the process ends."""
        self._scope.remember()

    @contextmanager
    def _in_own_scope(self) -> Generator[None]:
        """Be in the scope, or stay in a block of the consumer's own that is open in it."""
        current = context.current_scope()
        if current is not None and current.own is self._scope.own:
            yield
            return
        with self._resumed():
            yield

    @contextmanager
    def _resumed(self) -> Generator[None]:
        """Be in the scope itself, whatever context this is called in: a handled message's, the garbage collector's."""
        outside = self._scope.resume()
        try:
            yield
        finally:
            self._scope.pause(outside)

    def _outgoing(self, message: Any) -> Any:
        """Return *message* as it is to be sent."""
        return message

    @abstractmethod
    def _note_received(self, message: Any) -> None:
        """Note a message that the consumer received."""

    @abstractmethod
    def _note_sent(self, message: Any) -> None:
        """Note a message that was sent."""

    @abstractmethod
    def _note_failure(self, error: BaseException) -> None:
        """Note the exception that ended the consumer."""

    @abstractmethod
    def _end(self) -> None:
        """Log the closing event."""
