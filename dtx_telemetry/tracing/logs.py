"""Log records over OTLP: each line once, its fields as typed attributes."""

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from opentelemetry._logs import Logger, LogRecord, SeverityNumber
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from ..guard import never_raises
from ..rendering import Sanitizer
from .failures import Failures
from .otlp_values import as_attribute, is_small
from .sdk.complaints import is_opentelemetrys
from .sdk.processes import PerProcess
from .sdk.providers import Providers

__all__ = ["RecordExport"]

_SEVERITIES = {
    "debug": (SeverityNumber.DEBUG, "DEBUG"),
    "info": (SeverityNumber.INFO, "INFO"),
    "warning": (SeverityNumber.WARN, "WARN"),
    "error": (SeverityNumber.ERROR, "ERROR"),
    "critical": (SeverityNumber.FATAL, "FATAL"),
}
#: What a record has fields of its own for, and what is told by the semantic conventions' attributes.
_NO_ATTRIBUTES = frozenset({"timestamp", "level", "logger", "event", "trace_id", "span_id", "exception"})
_CONSTANTS = frozenset({float, bool, type(None)})
# In the midst of exporting a record: what is logged then would come back here for ever.
_exporting: ContextVar[bool] = ContextVar("dtx_telemetry_exporting", default=False)


class RecordExport:
    """Exports finished lines.

    Args:
        providers: make loggers.
        failures: tells of exceptions.
        sanitizer: makes values plain.
    """

    def __init__(self, providers: Providers, failures: Failures, sanitizer: Sanitizer) -> None:
        self._providers = providers
        self._failures = failures
        self._sanitizer = sanitizer
        self._is_wanted = PerProcess(lambda: (not _is_exported_by_another(),))

    @never_raises
    def __call__(self, created: float, line: Mapping[Any, Any], level: int, error: BaseException | None) -> None:
        """Export *line*.

        Args:
            created: when it was logged, in seconds since the epoch.
            line: as `logging.line` builds it.
            level: its level, a number of stdlib's.
            error: the exception that it tells of.
        """
        name = line["logger"]
        if _exporting.get() or is_opentelemetrys(name) or not is_instrumentation_enabled():
            return
        _exporting.set(True)
        try:
            wanted = self._is_wanted.get()
            if wanted is not None and wanted[0] and (logger := self._providers.logger(name)) is not None:
                self._emit(logger, created, line, level, error)
        finally:
            _exporting.set(False)

    def _emit(self, logger: Logger, created: float, line: Mapping[Any, Any], level: int, error: BaseException | None) -> None:
        number, text = _SEVERITIES.get(line["level"]) or _severity(level, str(line["level"]))
        attributes = self._attributes(line)
        if error is not None:
            attributes |= self._failures.attributes(error, line.get("exception"))
        elif "exception" in line:
            attributes["exception.stacktrace"] = self._sanitizer.line({"exception": line["exception"]})["exception"]
        record = LogRecord(
            timestamp=int(created * 1e9),
            severity_number=number,
            severity_text=text,
            body=self._sanitizer.text(line["event"]),
            attributes=attributes,
        )
        logger.emit(record)

    def _attributes(self, line: Mapping[Any, Any]) -> dict[str, Any]:
        """Return the line's fields as plain data. Most are plain texts and numbers, which need no walk."""
        is_plain = self._sanitizer.is_plain
        attributes, rest = {}, {}
        for key, value in line.items():
            if key in _NO_ATTRIBUTES:
                continue
            kind = type(value)
            if type(key) is str and (
                kind in _CONSTANTS or (kind is str and is_plain(value)) or (kind is int and is_small(value))
            ):
                attributes[key] = value
            else:
                rest[key] = value
        return {**attributes, **as_attribute(self._sanitizer.line(rest))} if rest else attributes


def _severity(level: int, name: str) -> tuple[SeverityNumber, str]:
    """Return the severity of a level that stdlib does not have: that of the nearest one below."""
    known = max((number for number in (10, 20, 30, 40, 50) if number <= level), default=0)
    number = {0: SeverityNumber.TRACE, 10: SeverityNumber.DEBUG2, 20: SeverityNumber.INFO2, 30: SeverityNumber.WARN2}
    return number.get(known, SeverityNumber.ERROR2 if known == 40 else SeverityNumber.FATAL2), name.upper()


def _is_exported_by_another() -> bool:
    """Return True if a handler of OpenTelemetry's own stands on the root logger: each record would go out twice."""
    handlers = logging.getLogger().handlers
    return any(type(handler).__module__.startswith("opentelemetry.") for handler in handlers)
