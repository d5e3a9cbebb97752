"""One WebSocket connection: the events of its beginning, its messages and its end."""

import logging
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from .. import context
from ..errors import error_text
from ..events import CONNECTION
from ..guard import never_raises
from ..logging import get_logger, log_closing_event, note_connection
from ..tracing import TRACING
from .asgi_scope import client_address, meta_of, path_of, tells_reasons
from .consumer_call import is_failure
from .scoped_call import ScopedCall

if TYPE_CHECKING:
    from ..tracing.sockets import ConnectionSpans

__all__ = ["Connection"]

# RFC 6455, section 7.4.1.
_NORMAL, _NO_STATUS, _ABNORMAL, _SERVER_ERROR = 1000, 1005, 1006, 1011
# The status's names, by what OTEL_SEMCONV_STABILITY_OPT_IN asks for.
_STATUS_NAMES = {
    "old": ["http.status_code"],
    "http": ["http.response.status_code"],
    "http/dup": ["http.status_code", "http.response.status_code"],
}
_log = get_logger("dtx_telemetry.websocket")


class Connection(ScopedCall):
    """A WebSocket connection, from handshake to close."""

    kind = CONNECTION

    def __init__(self, scope: Mapping[str, Any], log_messages: bool) -> None:
        super().__init__(scope, log_messages, **{"ws.conn_id": context.new_request_id()})
        note_connection(self._scope)
        self._accepted = False
        self._close_code: int | None = None
        #: Of the response that denied the handshake.
        self._status: int | None = None
        #: What was bound where the consumer closed the connection before it accepted it.
        self._refused: dict[str, Any] | None = None
        self._error: BaseException | None = None
        self._turns = 0
        self._received = self._sent = 0

    @never_raises
    def trace(self, consumer: str) -> None:
        """Begin the span of the handshake; between events nothing is current, so that an idle connection holds no span."""
        scope, path = self._asgi, path_of(self._asgi)
        if TRACING.on is not None and not self._settings.excludes(path):
            scheme = str(scope.get("scheme", "ws"))
            self.spans = TRACING.on.sockets.connect(meta_of(scope), scheme, path, scope.get("url_route"), consumer)
            self._scope.span = TRACING.on.nobodys()

    def traced(self, message: Any) -> AbstractContextManager[None]:
        """Return a block with the span of *message*."""
        return nullcontext() if self.spans is None else self._traced(self.spans, message)

    @contextmanager
    def _traced(self, spans: "ConnectionSpans", message: Any) -> Generator[None]:
        event, failure = spans.begin(message.get("type")), None
        try:
            yield
        except BaseException as error:
            failure = error if is_failure(error) else None
            raise
        finally:
            spans.end(event, failure)

    @contextmanager
    def turn(self) -> Generator[None]:
        """Dispatch one message in the block; a refusal is logged after it, with the exception that may have followed."""
        self._turns += 1
        try:
            with super().turn():
                yield
        except BaseException as error:
            if self._refused is not None:
                self.fail(error)
            raise
        finally:
            self._turns -= 1
            if self._refused is not None and not self._turns:
                self.end()

    @never_raises
    def _note_received(self, message: Any) -> None:
        if message["type"] == "websocket.receive":
            self._received += 1
            if self.spans is not None:
                self.spans.received()
            self._log_message("ws_received", message)
        elif message["type"] == "websocket.disconnect":
            self._note_code(self._code_of(message))

    @never_raises
    def _note_sent(self, message: Any) -> None:
        kind = message["type"]
        if kind == "websocket.send":
            self._sent += 1
            if self.spans is not None:
                self.spans.sent()
            self._log_message("ws_sent", message)
        elif kind == "websocket.accept":
            self._note_accepted()
        elif kind == "websocket.close":
            self._note_code(message.get("code") or _NORMAL)
            self._note_refused()
        elif kind == "websocket.http.response.start":
            self._status = message["status"]
            self._note_refused()

    def _log_message(self, event: str, message: Any) -> None:
        if self.log_messages:
            text = message.get("text")
            kind, content = ("binary", message.get("bytes") or b"") if text is None else ("text", text)
            _log.debug(event, **{"ws.message_type": kind, "ws.message_size": len(content)})

    def _note_accepted(self) -> None:
        self._accepted = True
        address = client_address(self._asgi)
        self._remember()
        with self._in_own_scope():
            self.update_user(None)
            _log.info("ws_connected", **({} if address is None else {"client.address": address}))
        if self.spans is not None:
            self.spans.accepted()

    def _note_refused(self) -> None:
        """Log the end of a connection that was not accepted soon: some servers tell the consumer of it much later."""
        if self._accepted or self._refused is not None:
            return
        self._remember()
        with self._in_own_scope():
            self._refused = context.bound()
        if not self._turns:
            self.end()

    def _note_code(self, code: int) -> None:
        """Keep the code of whoever closed first; the other side's answer is none."""
        if self._close_code is None:
            self._close_code = code

    def _code_of(self, message: Any) -> int:
        code = message.get("code")
        code = code if isinstance(code, int) else _NO_STATUS
        # uvicorn says "no status" of a client that vanished as well, but then without a reason.
        vanished = code == _NO_STATUS and "reason" not in message and tells_reasons(self._asgi)
        return _ABNORMAL if vanished else code

    def _note_failure(self, error: BaseException) -> None:
        self._error = error

    def _end(self) -> None:
        if not self._scope.close():
            return
        # The error's traceback holds this call: neither would be freed before the garbage collector comes by.
        error, self._error = self._error, None
        with nullcontext() if self._refused is None else context.bind_fields(**self._refused):
            self._log_end(error)
        if self.spans is not None:
            self.spans.ended(error, self._status)

    def _log_end(self, error: BaseException | None) -> None:
        end = self._how_it_closed(failed=error is not None)
        if error is None and not self._accepted:
            log_closing_event(_log, self._scope, logging.WARNING, "ws_rejected", end)
            return
        end["duration_ms"] = self._scope.duration_ms
        end |= {"ws.messages_received": self._received, "ws.messages_sent": self._sent}
        if error is None:
            log_closing_event(_log, self._scope, logging.INFO, "ws_disconnected", end)
        else:
            end |= {"error": error_text(error), "exc_info": error}
            log_closing_event(_log, self._scope, logging.ERROR, "ws_failed", end)

    def _how_it_closed(self, *, failed: bool) -> dict[str, Any]:
        """Return the status that denied the handshake, or else the code that closed the connection."""
        if self._status is None or self._accepted:
            return {"close_code": self._close_code or (_SERVER_ERROR if failed else _ABNORMAL)}
        return dict.fromkeys(_STATUS_NAMES[self._settings.semconv], self._status)
