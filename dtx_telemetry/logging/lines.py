"""From a log record to the line: the four names that each has, the event's own fields, the context, the exception."""

import logging
import sys
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ..context import bound
from ..errors import error_text, is_interruption
from ..rendering.sanitizer import ATOMS, Sanitizer
from ..rendering.secrets import REDACTED
from ..rendering.values import ask
from .records import OWN_NAMES, exception_of, fields_of, rename_own
from .tracebacks import format_traceback, take_traceback

__all__ = [
    "LEVEL_NAMES",
    "NO_FIELDS",
    "Line",
    "LineBuilder",
    "bare_line",
    "message_text",
    "set_span_source",
    "utc_clock",
]

Line = dict[str, Any]
NO_FIELDS: Mapping[str, Any] = MappingProxyType({})

#: Levels as lines name them.
LEVEL_NAMES = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}
# Formatting a number at each line costs twice as much as two look-ups.
_DIGITS = tuple(f"{number:03d}" for number in range(1000))
_SpanSource = Callable[[], Mapping[str, Any]]
# Written at start-up by `set_span_source`: this module stands below the one that knows spans.
_span_sources: list[tuple[str, _SpanSource]] = []


def set_span_source(source: _SpanSource | None, module: str = "sys") -> None:
    """Let *source* tell the fields of the current span (empty without one); ``None`` for none.

    Args:
        source: asked for each line.
        module: the source is not asked before this module is loaded.
    """
    _span_sources[:] = [(module, source)] if source is not None else []


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
    """

    __slots__ = ("_safe", "_sanitizer", "_secrets", "_timestamp")

    def __init__(self, sanitizer: Sanitizer, timestamp: Callable[[float], str]) -> None:
        self._sanitizer = sanitizer
        self._secrets = sanitizer.secrets
        self._safe = sanitizer.secrets.safe
        self._timestamp = timestamp

    def of_record(self, record: logging.LogRecord, ids: Mapping[str, Any] = NO_FIELDS) -> dict[str, Any]:
        """Return the line of *record*, whoever made it.

        Args:
            record: the record.
            ids: what it is about, where that is not bound any more.
        """
        event, args = record.msg, record.args
        if args or type(event) is not str:
            event = message_text(self._sanitizer, event, args)
        level = LEVEL_NAMES.get(record.levelno) or str(record.levelname).lower()
        line = self.of_event(record.created, level, record.name, event, fields_of(record))
        if ids:
            line = _add(line, ids)
        if record.exc_info or record.exc_text or record.stack_info:
            _add_exception(line, record)
        return line

    def of_event(self, created: float, level: str, name: str, event: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the line of an event; none of its *fields* is named like one of ours."""
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

    def _redact(self, line: dict[Any, Any]) -> None:
        for key in line:
            if self._secrets.names_secret(key if type(key) is str else self._sanitizer.text(key)):
                line[key] = REDACTED


def message_text(sanitizer: Sanitizer, message: Any, args: Any) -> str:
    """Return *message* with its arguments, secrets left out of both; arguments that do not fit stand behind it."""
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


def bare_line(line: Line, error: Exception) -> Line:
    """Return what is certain of a line that could not be rendered."""
    return {**{name: str(line[name]) for name in OWN_NAMES & line.keys()}, "telemetry_failed": error_text(error)}


def _add(line: dict[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return *line* with *fields* added; what it has already stays."""
    added = rename_own(fields)
    return {**line, **{key: value for key, value in added.items() if key not in line}}


def _add_exception(line: dict[str, Any], record: logging.LogRecord) -> None:
    exc_info: Any = record.exc_info
    error = exception_of(record)
    if error is not None:
        line.setdefault("error", error_text(error))
        if take_traceback(error):
            kind, _, tb = exc_info if isinstance(exc_info, tuple) else (type(error), error, error.__traceback__)
            line["exception"] = format_traceback(kind, error, tb)
    elif not exc_info and record.exc_text:  # a record that came from another process
        line["exception"] = str(record.exc_text)
    if record.stack_info:
        line["stack"] = str(record.stack_info)
