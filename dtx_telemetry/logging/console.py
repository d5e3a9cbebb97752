"""The console: our handler in the place of each console handler, and what prints a record or an event there."""

import logging
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO
from weakref import WeakSet

from ..errors import error_text, is_interruption
from ..rendering import Sanitizer, Secrets
from .line import NO_FIELDS, LineBuilder, bare_line
from .output import EXPORTS, Sink
from .records import exception_of
from .said_once import WATCH, Rule, print_unless_said, rule_for
from .tracebacks import give_back_traceback

__all__ = ["INSTALLED", "ConsoleHandler", "Printer", "is_configured", "is_console"]

#: A record that comes by several of our handlers is printed once, by the first that lets it through.
_taken: "WeakSet[logging.LogRecord]" = WeakSet()
_MAX_KNOWN_LOGGERS = 4096
#: References to all handlers in the order in which they were made. What configures logging makes a handler or empties the list.
_handlers: list[object] = logging._handlerList  # type: ignore[attr-defined]


class Printer:
    """Makes lines of records and events, and hands them on. Raises nothing, whatever those hold.

    Args:
        builder: makes the line.
        sink: takes the line.
        levels: ``LOG_LEVELS``: what is printed of single loggers and of those below them.
        framework_lines: also print the lines of frameworks that repeat what an event of ours says.
        goes_to: what the sink writes to, for people: ``stdout``, ``stderr`` or a file.
    """

    def __init__(
        self,
        builder: LineBuilder,
        sink: Sink,
        *,
        levels: Mapping[str, int] = NO_FIELDS,
        framework_lines: bool = False,
        goes_to: str = "",
    ) -> None:
        self.goes_to = goes_to
        self._line_of_record = builder.of_record
        self._line_of_event = builder.of_event
        self._prepare = sink.prepare
        self._take = sink.take
        self._levels = levels
        self._known_levels: dict[str, int | None] = {}
        self.framework_lines = framework_lines
        #: Waits until all lines are written, for a bounded time.
        self.flush = sink.flush
        #: Writes what waits, and gives back files and threads.
        self.discard = sink.close
        #: The least level that a handler has to let through.
        self.least_level: int | None = min(levels.values(), default=None)

    def level_of(self, name: str) -> int | None:
        """Return the level that ``LOG_LEVELS`` has for the logger *name* or the nearest one above it, if any."""
        if name not in self._known_levels:
            nearest = name
            while nearest and nearest not in self._levels:
                nearest = nearest.rpartition(".")[0]
            if len(self._known_levels) >= _MAX_KNOWN_LOGGERS:
                self._known_levels.clear()
            self._known_levels[name] = self._levels.get(nearest)
        return self._known_levels[name]

    def print_record(self, record: logging.LogRecord) -> None:
        """Print *record*, unless it says again what an event of ours says."""
        if EXPORTS.lets_pass is not None and not EXPORTS.lets_pass(record):
            return
        rule = rule_for(record.name)
        if rule is None:
            self._print(record)
        else:
            self._print_unless_said(record, rule)

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
            if EXPORTS.export is not None:
                EXPORTS.export(record.created, line, record.levelno, exception_of(record))
            prepared = self._prepare(line)
            if record.name == WATCH.logger:
                WATCH.printed = True
        except Exception as error:
            prepared = self._prepare_failed(record.msg, line, error)
            if (failure := exception_of(record)) is not None:
                give_back_traceback(failure)
        self._take(prepared)

    def print_event(self, level: str, name: str, event: str, fields: dict[str, Any]) -> None:
        """Print an event of our loggers for which no record was made, since no other handler would have seen it."""
        line = None
        try:
            line = self._line_of_event(created := time.time(), level, name, event, fields)
            if EXPORTS.export is not None:
                EXPORTS.export(created, line, 0, None)
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


class ConsoleHandler(logging.StreamHandler[TextIO]):
    """Prints our lines in the place of a console handler, with its level and its filters.

    Until somebody sets its `stream`: from then on it writes there as the handler did whose place it has, with that one's
    formatter. Django's own tests and its ``LoggingCaptureMixin`` do so, and later set it back.

    Args:
        printer: prints.
        replaced: the handler whose place this one takes, ``None`` if there was none.
    """

    def __init__(self, printer: Printer, replaced: "logging.StreamHandler[TextIO] | None" = None) -> None:
        logging.Handler.__init__(self)
        self.printer = printer
        self.replaced = replaced
        #: Whether it prints our lines, and not to a stream that somebody set.
        self.prints_lines = True
        self._found_stream = self._stream = sys.stdout if replaced is None else replaced.stream
        self._own_level = logging.NOTSET
        if replaced is not None:
            self.filters = replaced.filters  # the same list: the application may know the handler, and add one later
            self.formatter = replaced.formatter
            self.terminator = replaced.terminator
        self.setLevel(logging.NOTSET if replaced is None else replaced.level)

    @property
    def stream(self) -> TextIO:
        """The stream that was set, else that of the handler whose place this one takes."""
        return self._stream

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        self._stream = stream
        self.prints_lines = stream is self._found_stream

    def setLevel(self, level: int | str) -> None:  # noqa: N802 - stdlib's name
        """Set the least level that is printed, of loggers that ``LOG_LEVELS`` does not name."""
        super().setLevel(level)
        self._own_level, least = self.level, self.printer.least_level
        if least is not None:
            self.level = min(self.level, least)

    def lets_through(self, name: str, level: int) -> bool:
        """Return True if something of that level is printed of the logger *name*."""
        if self.printer.least_level is None:
            return level >= self.level
        named = self.printer.level_of(name)
        return level >= (self._own_level if named is None else named)

    def handle(self, record: logging.LogRecord) -> Any:
        """Print *record* if the filters let it through, once.

        No lock is held while the line is made: a value's ``__repr__`` may wait for another thread that logs.
        """
        if not self.prints_lines:
            return super().handle(record)
        if not _handlers or _handlers[-1] is not INSTALLED.newest_handler:
            INSTALLED.restore()  # a server may have set up its logging since, and logs before the first request
        if self.printer.least_level is not None and not self.lets_through(record.name, record.levelno):
            return False
        original = record
        if self.filters:
            kept = self.filter(record)
            if not kept:
                return kept
            record = kept if isinstance(kept, logging.LogRecord) else record
        if not INSTALLED.several or _is_first(original):
            self.printer.print_record(record)
        return record

    def emit(self, record: logging.LogRecord) -> None:
        """Print *record* as `handle` does, which is what stdlib calls."""
        if self.prints_lines:
            self.printer.print_record(record)
        else:
            super().emit(record)

    def flush(self) -> None:
        """Wait until all lines are written, for a bounded time. ``logging.shutdown`` calls it at the exit."""
        if self.prints_lines:
            self.printer.flush()
        else:
            super().flush()


class _Installed:
    """What `configure` did to this process, for those that ask at each call. Written at start-up, and as settings change.

    Attributes:
        newest_handler: the last in stdlib's list of handlers when ours were put in place.
        printer: prints our lines, ``None`` while telemetry is off.
        sanitizer: makes values safe that do not go through the printer.
        several: whether our handlers stand at more than one place.
        restore: puts our handlers in place again if logging was configured since. See `install.restore`.
    """

    __slots__ = ("newest_handler", "printer", "restore", "sanitizer", "several")

    def __init__(self) -> None:
        self.newest_handler: object = None
        self.printer: Printer | None = None
        self.sanitizer = Sanitizer(Secrets(), 16384)
        self.several = False
        self.restore: Callable[[], None] = lambda: None


INSTALLED = _Installed()


def is_configured() -> bool:
    """Return True while our handlers print this process's lines: `configure` was called, and telemetry is on."""
    return INSTALLED.printer is not None


def is_console(handler: logging.Handler) -> bool:
    """Return True for an application's or a framework's handler that prints to stdout or stderr."""
    if not isinstance(handler, logging.StreamHandler) or isinstance(handler, logging.FileHandler | ConsoleHandler):
        return False
    stream = handler.stream
    if any(stream is standard for standard in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)):
        return stream is not None
    try:
        return stream.fileno() in (1, 2)
    except Exception:
        return False


def _is_first(record: logging.LogRecord) -> bool:
    """Return True if none of our handlers has taken *record* before. It then counts as taken."""
    try:
        if record in _taken:
            return False
        _taken.add(record)
    except TypeError:  # somebody's own kind of record, that cannot be told from others
        pass
    return True


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
