"""The handler on the root logger: record, line, bytes, out."""

import logging
import time
from collections.abc import Callable
from typing import Any

from .exceptions import error_text
from .sinks import Sink

__all__ = ["TelemetryHandler"]


class TelemetryHandler(logging.Handler):
    """Prints every record that reaches it; raises nothing, whatever the record holds.

    Args:
        build: makes the line.
        sink: takes the line.
        drop_server_access: leave out the access lines of Django's development server, which ``request_completed`` replaces.
    """

    def __init__(
        self, build: Callable[[logging.LogRecord], dict[str, Any]], sink: Sink, *, drop_server_access: bool = False
    ) -> None:
        super().__init__()
        self._build = build
        self._put = sink.put
        self._sink = sink
        self._dropped = "django.server" if drop_server_access else None

    def handle(self, record: logging.LogRecord) -> Any:
        """Print *record* if the filters let it through.

        No lock is held while the line is made: a value's ``__repr__`` may wait for another thread that logs.
        """
        if self.filters:
            kept = self.filter(record)
            if not kept:
                return kept
            record = kept if isinstance(kept, logging.LogRecord) else record
        if record.name == self._dropped and hasattr(record, "status_code"):
            return record
        try:
            line = self._build(record)
        except Exception as error:
            line = _failed_line(record, error)
        self._put(line)
        return record

    def emit(self, record: logging.LogRecord) -> None:
        """Print *record* as `handle` does, which is what stdlib calls."""
        self.handle(record)

    def flush(self) -> None:
        """Wait until all lines are written, for a bounded time. ``logging.shutdown`` calls it at the exit."""
        self._sink.flush()

    def discard(self) -> None:
        """Write what waits, and give back files and threads. Not ``close``: dictConfig closes handlers that are in use."""
        self._sink.close()


def _failed_line(record: logging.LogRecord, error: Exception) -> dict[str, Any]:
    """Return a line about a record that no line could be made of."""
    return {
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime()),
        "level": "error",
        "logger": "dtx_telemetry",
        "event": "telemetry_failed",
        "where": "logging",
        "error": error_text(error),
        "message": record.msg if type(record.msg) is str else type(record.msg).__name__,
    }
