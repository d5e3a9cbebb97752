"""One WebSocket connection: the events of its beginning and its end."""

import logging
from collections.abc import Mapping
from typing import Any

from .. import context
from ..errors import error_text
from ..guard import never_raises
from ..logging import get_logger, log_closing_event
from .asgi_scope import client_address, knows_reasons
from .consumer_call import ConsumerCall

__all__ = ["Connection"]

# RFC 6455, section 7.4.1.
_NORMAL, _NO_STATUS, _ABNORMAL, _SERVER_ERROR = 1000, 1005, 1006, 1011
_log = get_logger("dtx_telemetry.websocket")


class Connection(ConsumerCall):
    """A WebSocket connection, from handshake to close."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        super().__init__(scope, **{"ws.conn_id": context.new_request_id()})
        self._accepted = False
        self._close_code: int | None = None
        self._received = self._sent = 0

    @never_raises
    def _note_received(self, message: Any) -> None:
        if message["type"] == "websocket.receive":
            self._received += 1
        elif message["type"] == "websocket.disconnect":
            self._note_code(self._code_of(message))

    @never_raises
    def _note_sent(self, message: Any) -> None:
        kind = message["type"]
        if kind == "websocket.send":
            self._sent += 1
        elif kind == "websocket.accept":
            self._note_accepted()
        elif kind in {"websocket.close", "websocket.http.response.start"}:
            self._note_code(message.get("code") or _NORMAL)
            if not self._accepted:
                # Said now: some servers tell the consumer of the end much later.
                self.end()

    def _note_accepted(self) -> None:
        self._accepted = True
        address = client_address(self._asgi)
        with self._inside():
            _log.info("ws_connected", **({} if address is None else {"client.address": address}))

    def _note_code(self, code: int) -> None:
        """Keep the code of whoever closed first; the other side's answer is none."""
        if self._close_code is None:
            self._close_code = code

    def _code_of(self, message: Any) -> int:
        code = message.get("code")
        code = code if isinstance(code, int) else _NO_STATUS
        # uvicorn says "no status" of a client that vanished as well, but then without a reason.
        vanished = code == _NO_STATUS and "reason" not in message and knows_reasons(self._asgi)
        return _ABNORMAL if vanished else code

    def _note_failure(self, error: BaseException) -> None:
        self._scope.failure = error

    def _end(self) -> None:
        if not self._scope.close():
            return
        error = self._scope.failure
        code = self._close_code or (_ABNORMAL if error is None else _SERVER_ERROR)
        counts = {"ws.messages_received": self._received, "ws.messages_sent": self._sent}
        fields = {"close_code": code, "duration_ms": self._scope.duration_ms, **counts}
        if error is not None:
            self._log_closing(logging.ERROR, "ws_failed", {**fields, "error": error_text(error), "exc_info": error})
        elif self._accepted:
            self._log_closing(logging.INFO, "ws_disconnected", fields)
        else:
            self._log_closing(logging.WARNING, "ws_rejected", {"close_code": code})

    def _log_closing(self, level: int, event: str, fields: dict[str, Any]) -> None:
        log_closing_event(_log, self._scope, level, event, fields)
