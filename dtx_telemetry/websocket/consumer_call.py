"""One call of a consumer: its scope and its messages."""

import asyncio
import atexit
import os
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

from channels.exceptions import AcceptConnection, DenyConnection, StopConsumer

from .. import context
from ..config import get_settings
from ..guard import never_raises
from .asgi_scope import fields_of, user_id_of
from .messages import context_of, without_context

__all__ = ["ConsumerCall", "Receive", "Send"]

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

# What a server sends to an application; a channel layer's messages have types of the application's own.
_CLIENTS_TYPES = ("websocket.connect", "websocket.receive", "websocket.disconnect", "http.request", "http.disconnect")


class ConsumerCall(ABC):
    """A WebSocket connection or an HTTP request.

    A subclass says what it notes of the messages (`_note_received`, `_note_sent`) and what it logs in the end (`_end`).
    """

    def __init__(self, scope: Mapping[str, Any], **own: Any) -> None:
        self._asgi = scope
        self._settings = get_settings()
        self._user = scope.get("user")
        self._unsent: OSError | None = None
        #: Whether the client went away, or the server gave it up.
        self._gone = False
        fields = {**fields_of(scope, self._settings), **own}
        self._request_id: str = fields["request.id"]
        self._scope = context.enter_root(fields, own=self._settings.own_keys)
        # In the scope, so that what is said about a user that cannot be read bears its id.
        self._bind_user()
        _open.add(self)

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

    def is_clients(self, message: Any) -> bool:
        """Whether *message* came from the client; a copy too, and not only the latest: ``dispatch`` may be overridden."""
        is_of_client = isinstance(message, dict) and message.get("type") in _CLIENTS_TYPES
        return is_of_client and context_of(without_context(message)) is None

    @never_raises
    def learn(self, scope: Mapping[str, Any] | None) -> None:
        """Bind the user again where the consumer, whose *scope* it is, has logged one in or out."""
        if scope is None:
            return
        self._asgi = scope
        user = scope.get("user")
        if user is not self._user:
            self._user = user
            self._bind_user()

    def fail(self, error: BaseException) -> None:
        """Note what ended the consumer; the exceptions by which a consumer steers are no failures."""
        if error is self._unsent or isinstance(error, asyncio.CancelledError | GeneratorExit):
            self._gone = True
        elif not isinstance(error, StopConsumer | DenyConnection | AcceptConnection):
            self._note_failure(error)

    def close(self) -> None:
        """Log the closing event, if there was none, and leave the scope."""
        _open.discard(self)
        try:
            self.end()
        finally:
            context.leave(self._scope)

    @never_raises
    def end(self) -> None:
        """Log the closing event, if there was none."""
        if not self._scope.closed:
            with self._inside():
                self.learn(self._asgi)
                self._end()

    @contextmanager
    def _inside(self) -> Generator[None]:
        """Be in the scope itself, whatever context this is called in: a handled message's, the garbage collector's."""
        if context.current_scope() is self._scope:
            yield
            return
        outside = self._scope.resume()
        try:
            self._bind_user()
            yield
        finally:
            self._scope.pause(outside)

    def _bind_user(self) -> None:
        value = user_id_of(self._asgi, self._settings)
        if value is not None:
            context.bind({"user.id": value})
        else:
            context.unbind("user.id")

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


# Daphne, told to stop, ends without cancelling its consumers or telling them; only the end of the process is left to notice it.
# A peer is in here while its consumer runs, so there are never more than open connections.
_open: WeakSet[ConsumerCall] = WeakSet()
os.register_at_fork(after_in_child=_open.clear)


@atexit.register
def _end_what_is_open() -> None:
    for peer in list(_open):
        peer.end()
