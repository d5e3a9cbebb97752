"""From a log record to the line: the four names that each has, the event's own fields, the context, the exception."""

import logging
import sys
import time
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

import structlog

from ..context import bound, current_scope
from ..errors import error_text, is_interruption
from ..rendering.sanitizer import ATOMS, Sanitizer
from ..rendering.secrets import REDACTED
from ..rendering.values import ask
from .records import LEVEL_NAMES, OWN_NAMES, EventText, exception_of, fields_of, rename_own, structlogs_event, without_repeated
from .tracebacks import CONSOLE, format_traceback, take_traceback

__all__ = [
    "NO_FIELDS",
    "Line",
    "LineBuilder",
    "bare_line",
    "message_text",
    "set_span_source",
    "span_ids",
    "taken_away",
    "utc_clock",
]

Line = dict[str, Any]
NO_FIELDS: Mapping[str, Any] = MappingProxyType({})

#: What structlog puts into an event dict or on a record for its own use.
_STRUCTLOGS_OWN = frozenset({"_logger", "_name", "_record", "_from_structlog", "exc_info", "stack_info"})
# Formatting a number at each line costs twice as much as two look-ups.
_DIGITS = tuple(f"{number:03d}" for number in range(1000))
_SpanSource = Callable[..., Mapping[str, Any]]
# Written at start-up by `set_span_source`: this module stands below the one that knows spans.
_span_sources: list[tuple[str, _SpanSource]] = []


def set_span_source(source: _SpanSource | None, module: str = "sys") -> None:
    """Let *source* tell the fields of the current span (empty without one). With ``None`` lines have no such fields.

    Args:
        source: asked for each line. With a scope's ``span`` it tells the fields of that one.
        module: the source is not asked before this module is loaded.
    """
    _span_sources[:] = [(module, source)] if source is not None else []


def span_ids(*span: object) -> Mapping[str, Any]:
    """Return ``trace_id`` and ``span_id`` of the current span, or of a scope's *span*, or nothing without one."""
    return _span_sources[0][1](*span) if _span_sources and _span_sources[0][0] in sys.modules else NO_FIELDS


def utc_clock() -> Callable[[float], str]:
    """Return a function that writes seconds since the epoch as ``2026-01-15T10:23:45.123456Z`` (ISO 8601)."""
    last = (-1, "")  # the second that was written last: most lines are of the same

    def utc_time(created: float) -> str:
        nonlocal last
        second, text = last
        micros = int((created - second) * 1e6)
        if not 0 <= micros < 1_000_000:
            second = int(created // 1)
            micros = int((created - second) * 1e6)
            text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
            last = (second, text)  # in one go, for threads
        return f"{text}{_DIGITS[micros // 1000]}{_DIGITS[micros % 1000]}Z"

    return utc_time


class LineBuilder:
    """Builds lines. Values are as they were given, those under secret keys aside: the renderers make them plain.

    Args:
        sanitizer: knows the secrets, and makes values plain.
        timestamp: writes the time of a record.
        taker: for whom: an exception's traceback stands once in what each of them prints.
    """

    __slots__ = ("_safe", "_sanitizer", "_secrets", "_timestamp", "taker")

    def __init__(self, sanitizer: Sanitizer, timestamp: Callable[[float], str], taker: str = CONSOLE) -> None:
        self.taker = taker
        self._sanitizer = sanitizer
        self._secrets = sanitizer.secrets
        self._safe = sanitizer.secrets.safe
        self._timestamp = timestamp

    def of_record(self, record: logging.LogRecord, ids: Mapping[str, Any] = NO_FIELDS) -> dict[str, Any]:
        """Return the line of *record*.

        Args:
            record: the record.
            ids: what it is about, if that is not bound any more.
        """
        event, args, fields = record.msg, record.args, fields_of(record)
        error = exception_of(record) if record.exc_info or type(event) is not str else None
        hidden: Collection[str] = ()
        if args or type(event) is not str:
            if (made := structlogs_event(record)) is not None:
                event, args, fields = _read_structlogs(record, made, fields)
                hidden = taken_away(made)
            event = message_text(self._sanitizer, event, args)
        level = LEVEL_NAMES.get(record.levelno) or str(record.levelname).lower()
        line = self.of_event(record.created, level, record.name, event, fields)
        for key in hidden:
            line.pop(key, None)
        if ids:
            line = _add(line, ids)
        if error is not None or record.exc_text or record.stack_info:
            self._add_exception(line, record, error)
        return line

    def of_event(self, created: float, level: str, name: str, event: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the line of an event. None of its *fields* is named like one of ours."""
        timestamp = self._timestamp(created)
        context = bound()
        line = {"timestamp": timestamp, "level": level, "logger": name or "root", "event": event, **fields, **context}
        if len(line) < 4 + len(fields) + len(context):  # something is bound under a name that is taken
            taken = {"timestamp": timestamp, "level": level, "logger": name or "root", "event": event, **fields}
            line = _add(taken, context)
        if _span_sources and _span_sources[0][0] in sys.modules and (span := _span_sources[0][1]()):
            # A bound id is another span's: a message may have brought it.
            line |= span if span.keys().isdisjoint(fields) else {key: span[key] for key in span.keys() - fields.keys()}
        if not self._safe.issuperset(line):
            self._redact(line)
        return line

    def _add_exception(self, line: dict[str, Any], record: logging.LogRecord, error: BaseException | None) -> None:
        exc_info: Any = record.exc_info
        if error is not None:
            line.setdefault("error", error_text(error))
            if take_traceback(error, self.taker, record):
                kind, _, tb = exc_info if isinstance(exc_info, tuple) else (type(error), error, error.__traceback__)
                line["exception"] = format_traceback(kind, error, tb)
        elif not exc_info and record.exc_text:  # a record that came from another process
            line["exception"] = str(record.exc_text)
        if record.stack_info:
            line["stack"] = str(record.stack_info)

    def _redact(self, line: dict[Any, Any]) -> None:
        for key in line:
            if self._secrets.names_secret(key if type(key) is str else self._sanitizer.text(key)):
                line[key] = REDACTED


def message_text(sanitizer: Sanitizer, message: Any, args: Any) -> str:
    """Return *message* with its arguments, without the secrets in both. Arguments that do not fit stand behind it."""
    text: str = message if type(message) is str else sanitizer.text(message)
    if not args:
        return text
    try:
        if type(args) is tuple and ATOMS.issuperset(map(type, args)):
            return text % args
        return str(ask(lambda: text % _safe_args(sanitizer, args)))
    except Exception as error:
        if is_interruption(error):
            raise
        return f"{text} {sanitizer.text(args)}"


def _safe_args(sanitizer: Sanitizer, args: Any) -> Any:
    if type(args) is not tuple:
        return sanitizer.without_secrets(args)
    return tuple([sanitizer.without_secrets(arg) for arg in args])


def taken_away(made: Mapping[str, Any]) -> list[str]:
    """Return the names of what is bound and a processor of structlog's took away from the event dict *made*."""
    if structlog.contextvars.merge_contextvars not in structlog._config._CONFIG.default_processors:
        return []
    scope = current_scope()
    own = {} if scope is None else scope.own
    return [key for key in structlog.contextvars.get_contextvars() if key not in made and key not in own]


def bare_line(line: Line, error: Exception) -> Line:
    """Return what is certain of a line that could not be rendered."""
    return {**{name: str(line[name]) for name in OWN_NAMES & line.keys()}, "telemetry_failed": error_text(error)}


def _add(line: dict[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return *line* with *fields* added. What it has already stays."""
    added = rename_own(fields)
    return {**line, **{key: value for key, value in added.items() if key not in line}}


def _read_structlogs(
    record: logging.LogRecord, made: Mapping[str, Any], attributes: Mapping[str, Any]
) -> tuple[Any, Any, dict[str, Any]]:
    """Return event, arguments and fields of *record*, which structlog made of the event dict *made*."""
    given = without_repeated(made, record.name, LEVEL_NAMES.get(record.levelno))
    renamed = next((key for key, value in given.items() if isinstance(value, EventText)), "event")
    event, args = given.pop(renamed, ""), given.pop("positional_args", ())
    fields = {key: value for key, value in attributes.items() if key not in _STRUCTLOGS_OWN}
    return event, args, fields | rename_own({key: value for key, value in given.items() if key not in _STRUCTLOGS_OWN})
