"""One WebSocket connection: the events of its beginning, its messages and its end."""

from collections.abc import Mapping
from typing import Any

from .. import context
from ..events import CONNECTION, WS_CONNECTED, WS_DISCONNECTED, WS_FAILED, WS_RECEIVED, WS_REJECTED, WS_SENT, Event
from ..logging import get_logger, note_failed_handshake
from .asgi_scope import Handshake, client_address, path_of, tells_reasons
from .call import ConsumerCall
from .messages import Handle, is_failure, is_of_a_message

__all__ = ["Connection"]

# RFC 6455, section 7.4.1.
_NORMAL, _NO_STATUS, _ABNORMAL, _SERVER_ERROR = 1000, 1005, 1006, 1011
# The status's names, by what OTEL_SEMCONV_STABILITY_OPT_IN asks for.
_STATUS_NAMES = {
    "old": ["http.status_code"],
    "http": ["http.response.status_code"],
    "http/dup": ["http.status_code", "http.response.status_code"],
}
_log = get_logger(CONNECTION.logger)


class Connection(ConsumerCall):
    """A WebSocket connection, from handshake to close."""

    kind = CONNECTION

    def __init__(self, scope: Mapping[str, Any], consumer: str, log_messages: bool) -> None:
        self._accepted = False
        self._close_code: int | None = None
        #: Of the response that denied the handshake.
        self._status: int | None = None
        self._received = self._sent = 0
        super().__init__(scope, consumer, log_messages, **{"ws.conn_id": context.new_request_id()})

    def _about(self) -> Handshake | None:
        """Return the handshake, whose span ends with it, so that an idle connection holds none."""
        return None if self._settings.excludes(path_of(self._asgi)) else Handshake(self._asgi, self._consumer)

    async def handle_clients(self, handle: Handle, message: Any) -> Any:
        """Handle a message of the client, in the span of the handshake or of the message."""
        span = context.tell("ws_handling", self._scope, message["type"])
        try:
            result = await super().handle_clients(handle, message)
        except BaseException as error:
            context.tell("ws_handled", self._scope, span, error if is_failure(error) else None)
            raise
        context.tell("ws_handled", self._scope, span, None)
        return result

    def _note_received(self, message: Any) -> None:
        if message["type"] == "websocket.receive":
            self._received += 1
            context.tell("ws_received", self._scope)
            if self.log_messages:
                self._log_message(WS_RECEIVED, message)
        elif message["type"] == "websocket.disconnect":
            self._note_code(self._code_of(message))

    def _note_sent(self, message: Any) -> None:
        kind = message["type"]
        if kind == "websocket.send":
            self._sent += 1
            context.tell("ws_sent", self._scope)
            if self.log_messages:
                self._log_message(WS_SENT, message)
        elif kind == "websocket.accept":
            self._accepted = True
            self._in_scope(self._log_accepted)
        elif kind == "websocket.close":
            self._note_code(message.get("code") or _NORMAL)
            self._note_refused()
        elif kind == "websocket.http.response.start":
            self._status = message["status"]
            self._note_refused()

    def _log_message(self, event: Event, message: Any) -> None:
        text = message.get("text")
        kind, content = ("binary", message.get("bytes") or b"") if text is None else ("text", text)
        _log.debug(event.name, **{"ws.message_type": kind, "ws.message_size": len(content)})

    def _log_accepted(self) -> None:
        self.update_user(None)
        address = client_address(self._asgi)
        _log.info(WS_CONNECTED.name, **self._which(), **({} if address is None else {"client.address": address}))
        context.tell("ws_accepted", self._scope)

    def _which(self) -> dict[str, Any]:
        """Return the fields that say which socket an event is about."""
        return {"http.route": path_of(self._asgi), "ws.consumer": self._consumer}

    def _note_refused(self) -> None:
        """Log the end of a connection that was not accepted soon: some servers tell the consumer of it much later."""
        if self._accepted or self._refused is not None:
            return
        self._refused = self._in_scope(context.bound)
        if not self._turns:
            self.end()

    def _note_code(self, code: int) -> None:
        """Keep the code of who closed first. The peer's echo is ignored."""
        if self._close_code is None:
            self._close_code = code

    def _code_of(self, message: Any) -> int:
        code = message.get("code")
        code = code if isinstance(code, int) else _NO_STATUS
        # uvicorn says "no status" of a client that vanished as well, but then without a reason.
        vanished = code == _NO_STATUS and "reason" not in message and tells_reasons(self._asgi)
        return _ABNORMAL if vanished else code

    def _end(self) -> None:
        error, own = self._scope.failure, self._scope.own
        # Bound in a block that is over by now.
        fields = {key: value for key, value in (self._refused or {}).items() if key not in own}
        fields |= self._which() | self._how_it_closed(failed=error is not None)
        if error is None and not self._accepted:
            self._scope.end(WS_REJECTED, fields, status=self._status)
            return
        fields |= {"ws.messages_received": self._received, "ws.messages_sent": self._sent}
        if error is None:
            self._scope.end(WS_DISCONNECTED, fields)
            return
        if not self._accepted:
            note_failed_handshake(self._scope)
        if is_of_a_message(error):
            context.tell("ws_failing", self._scope)
        self._scope.end(WS_FAILED, fields, error=error, status=self._status)

    def _how_it_closed(self, *, failed: bool) -> dict[str, Any]:
        """Return the status that denied the handshake, or else the code that closed the connection."""
        if self._status is None or self._accepted:
            return {"close_code": self._close_code or (_SERVER_ERROR if failed else _ABNORMAL)}
        return dict.fromkeys(_STATUS_NAMES[self._settings.semconv], self._status)
