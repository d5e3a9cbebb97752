"""One HTTP request that a consumer serves: the same scope, header and events as a view's."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..events import CONSUMER_REQUEST
from ..guard import never_raises
from ..http import events
from ..logging import get_logger
from ..tracing import TRACING
from .asgi_scope import meta_of, path_of
from .consumer_call import Receive, Send
from .deliveries import outside
from .scoped_call import ScopedCall

if TYPE_CHECKING:
    from ..tracing.requests import RequestSpan

__all__ = ["ConsumerRequest"]

_log = get_logger("dtx_telemetry.websocket")


class ConsumerRequest(ScopedCall):
    """An HTTP request and its response."""

    kind = CONSUMER_REQUEST

    def __init__(self, scope: Mapping[str, Any], log_messages: bool) -> None:
        super().__init__(scope, log_messages)
        self._status: int | None = None
        self._whole = False
        self._span: RequestSpan | None = None

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
            span = None if self._span is None else self._span.outside()
            with outside(self._settings.own_keys, span):
                return await call(*args)

        return called

    @never_raises
    def trace(self, consumer: str) -> None:
        """Begin the request's span."""
        scope, path = self._asgi, path_of(self._asgi)
        if TRACING.on is None or self._settings.excludes(path):
            return
        meta, scheme, method = meta_of(scope), str(scope.get("scheme", "http")), str(scope.get("method", ""))
        url = f"{scheme}://{meta.get('HTTP_HOST', '')}{path}"
        self._span = self._scope.span = TRACING.on.requests.begin(
            meta, method, scheme, path, scope.get("http_version"), lambda: url
        )

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
        request = events.RequestEvents(_log, self._settings, self._scope, method, path)
        request.span = self._span
        request.end(self._final_status())

    def _final_status(self) -> int | None:
        """Return the status that the client got, ``None`` where the response was cut."""
        if self._whole or self._scope.failure is not None:
            return self._status
        # A consumer that ends without a word has the server answer for it.
        return 500 if self._status is None and not self._gone else None
