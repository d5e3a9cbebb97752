"""The handler on the root logger: record, line, bytes, out."""

import logging
import time
from collections.abc import Mapping
from typing import Any

from ..errors import error_text, is_interruption
from .lines import NO_FIELDS, LineBuilder, bare_line
from .records import exception_of
from .said_once import WATCH, Rule, print_unless_said, rule_for
from .sinks import Sink
from .taps import TAPS
from .tracebacks import give_back_traceback

__all__ = ["TelemetryHandler"]


class TelemetryHandler(logging.Handler):
    """Prints every record that reaches it; raises nothing, whatever the record holds.

    Args:
        builder: makes the line.
        sink: takes the line.
        framework_lines: also print the lines of frameworks that repeat what an event of ours says.
    """

    def __init__(self, builder: LineBuilder, sink: Sink, *, framework_lines: bool = False) -> None:
        super().__init__()
        self._line_of_record = builder.of_record
        self._line_of_event = builder.of_event
        self._prepare = sink.prepare
        self._take = sink.take
        self._sink = sink
        self.framework_lines = framework_lines

    def handle(self, record: logging.LogRecord) -> Any:
        """Print *record* if the filters let it through.

        No lock is held while the line is made: a value's ``__repr__`` may wait for another thread that logs.
        """
        if self.filters:
            kept = self.filter(record)
            if not kept:
                return kept
            record = kept if isinstance(kept, logging.LogRecord) else record
        if TAPS.lets_pass is not None and not TAPS.lets_pass(record):
            return record
        rule = rule_for(record.name)
        if rule is None:
            self._print(record)
        else:
            self._print_unless_said(record, rule)
        return record

    def _print_unless_said(self, record: logging.LogRecord, rule: Rule) -> None:
        try:
            print_unless_said(record, rule, self._print, wanted=self.framework_lines)
        except Exception as error:
            if is_interruption(error):
                raise
            self._print(record)

    def _print(self, record: logging.LogRecord, ids: Mapping[str, Any] = NO_FIELDS) -> None:
        line = None
        try:
            line = self._line_of_record(record, ids)
            if TAPS.export is not None:
                TAPS.export(record.created, line, record.levelno, exception_of(record))
            prepared = self._prepare(line)
            if record.name == WATCH.logger:
                WATCH.printed = True
        except Exception as error:
            prepared = self._prepare_failed(record.msg, line, error)
            if (failure := exception_of(record)) is not None:
                give_back_traceback(failure)
        self._take(prepared)

    def print_event(self, level: str, name: str, event: str, fields: dict[str, Any]) -> None:
        """Print an event of our loggers for which no record was made, since nobody else would have seen it."""
        line = None
        try:
            line = self._line_of_event(created := time.time(), level, name, event, fields)
            if TAPS.export is not None:
                TAPS.export(created, line, 0, None)
            prepared = self._prepare(line)
            if name == WATCH.logger:
                WATCH.printed = True
        except Exception as error:
            prepared = self._prepare_failed(event, line, error)
        self._take(prepared)

    def _prepare_failed(self, event: object, line: dict[str, Any] | None, error: Exception) -> Any:
        if is_interruption(error):
            raise error
        return self._prepare(_failed_line(event, error) if line is None else bare_line(line, error))

    def emit(self, record: logging.LogRecord) -> None:
        """Print *record* as `handle` does, which is what stdlib calls."""
        self.handle(record)

    def flush(self) -> None:
        """Wait until all lines are written, for a bounded time. ``logging.shutdown`` calls it at the exit."""
        self._sink.flush()

    def discard(self) -> None:
        """Write what waits, and give back files and threads. Not ``close``: dictConfig closes handlers that are in use."""
        self._sink.close()


def _failed_line(event: object, error: Exception) -> dict[str, Any]:
    """Return a line about an event that no line could be made of."""
    return {
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime()),
        "level": "error",
        "logger": "dtx_telemetry",
        "event": "telemetry_failed",
        "where": "logging",
        "error": error_text(error),
        "message": event if type(event) is str else type(event).__name__,
    }
