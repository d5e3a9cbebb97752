"""One HTTP request that a consumer serves: the same scope, header and events as a view's."""

from collections.abc import Mapping
from contextvars import Context
from typing import Any, NamedTuple

from .. import context
from ..events import CONSUMER_REQUEST
from ..guard import never_raises
from ..http.events import ServedRequest
from .asgi_scope import meta_of, path_of
from .call import ConsumerCall, Receive, Send

__all__ = ["ConsumerRequest"]


class _Request(NamedTuple):
    """An ASGI scope with the names of a Django request, as its span wants to see it."""

    scope: dict[str, Any]
    META: dict[str, Any]
    method: str | None
    path: str
    scheme: str


class ConsumerRequest(ConsumerCall):
    """An HTTP request and its response."""

    kind = CONSUMER_REQUEST

    def __init__(self, scope: Mapping[str, Any], consumer: str, log_messages: bool) -> None:
        self._status: int | None = None
        self._whole = False
        super().__init__(scope, consumer, log_messages)

    def _about(self) -> _Request:
        scope = self._asgi
        method, scheme = str(scope.get("method", "")), str(scope.get("scheme", "http"))
        return _Request(dict(scope), meta_of(scope), method, path_of(scope), scheme)

    def _receiving(self, receive: Receive) -> Receive:
        """Return *receive*, watched and called outside the request, as around a view.

        uvicorn reads on in the context of such a call, and serves the connection's next requests there.
        """

        async def called() -> Any:
            return await receive()

        return super()._receiving(lambda: context.run_in(self._outside(), called()))

    def _sending(self, send: Send) -> Send:
        """Return *send*, watched and called outside the request. The start of the response gets the request's id."""

        async def called(message: Any) -> None:
            await send(message)

        async def send_with_id(message: Any) -> None:
            outgoing = self._with_id(message)
            await context.run_in(self._outside(), called(message if outgoing is None else outgoing))

        return super()._sending(send_with_id)

    def _outside(self) -> Context:
        return context.outside_context(self._settings.own_keys)

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

    def _note_received(self, message: Any) -> None:
        if message["type"] == "http.disconnect":
            self._gone = True

    def _note_sent(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif message["type"] == "http.response.body" and not message.get("more_body"):
            self._whole = True

    def _end(self) -> None:
        method, path = str(self._asgi.get("method", "")), path_of(self._asgi)
        ServedRequest(self._settings, self._scope, method, path).end(self._final_status())

    def _final_status(self) -> int | None:
        """Return the status that the client got, ``None`` if the response was cut."""
        if self._whole or self._scope.failure is not None:
            return self._status
        # A consumer that ends without a word has the server answer for it.
        return 500 if self._status is None and not self._gone else None
