"""One HTTP request that a consumer serves: the same scope, header and events as a view's."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..events import CONSUMER_REQUEST
from ..guard import never_raises
from ..http import events
from .asgi_scope import meta_of, path_of
from .consumer_call import Receive, Send
from .deliveries import outside
from .scoped_call import ScopedCall

__all__ = ["ConsumerRequest"]


class _Request:
    """An ASGI scope with the names of a Django request."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self.scope = dict(scope)
        self.META = meta_of(scope)
        self.method: str | None = str(scope.get("method", ""))
        self.path = path_of(scope)
        self.scheme = str(scope.get("scheme", "http"))


class ConsumerRequest(ScopedCall):
    """An HTTP request and its response."""

    kind = CONSUMER_REQUEST

    def __init__(self, scope: Mapping[str, Any], log_messages: bool) -> None:
        super().__init__(scope, log_messages)
        self._status: int | None = None
        self._whole = False

    def about(self, scope: Mapping[str, Any]) -> "_Request":
        """Return the request as its span wants to see it."""
        return _Request(scope)

    def receiving(self, receive: Receive) -> Receive:
        """Return *receive*, watched and called outside the request."""
        return super().receiving(self._called_outside(receive))

    def sending(self, send: Send) -> Send:
        """Return *send*, watched and called outside the request."""
        return super().sending(self._called_outside(send))

    def _called_outside(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Return *call*, a server's, made outside the request, as around a view.

        uvicorn reads on in the context of such a call, and serves the connection's next requests there.
        """

        async def called(*args: Any) -> Any:
            span = None if self._scope.span is None else self._scope.span.outside()
            with outside(self._settings.own_keys, span):
                return await call(*args)

        return called

    def trace(self, consumer: str) -> None:
        """The span begins with the scope."""

    def _outgoing(self, message: Any) -> Any:
        with_id = self._with_id(message)
        return message if with_id is None else with_id

    @never_raises
    def _with_id(self, message: Any) -> Any:
        """Return the start of the response with the request's id, unless the consumer gave one itself."""
        if message["type"] != "http.response.start":
            return message
        name = self._settings.request_id_header.lower().encode()
        headers = list(message.get("headers") or ())
        if not any(key.lower() == name for key, _ in headers):
            headers.append((name, self._request_id.encode()))
        return {**message, "headers": headers}

    @never_raises
    def _note_received(self, message: Any) -> None:
        if message["type"] == "http.disconnect":
            self._gone = True

    @never_raises
    def _note_sent(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif message["type"] == "http.response.body" and not message.get("more_body"):
            self._whole = True

    def _note_failure(self, error: BaseException) -> None:
        events.note_failure(self._scope, error)

    def _end(self) -> None:
        method, path = str(self._asgi.get("method", "")), path_of(self._asgi)
        events.ServedRequest(self._settings, self._scope, method, path).end(self._final_status())

    def _final_status(self) -> int | None:
        """Return the status that the client got, ``None`` where the response was cut."""
        if self._whole or self._scope.failure is not None:
            return self._status
        # A consumer that ends without a word has the server answer for it.
        return 500 if self._status is None and not self._gone else None
