"""The loggers: structlog's methods, on stdlib's loggers and records."""

import logging
import sys
from typing import Any

import structlog

from .console import INSTALLED
from .emit import log_event, only_listener
from .structlog import configured_processors, log_processed, stdlib_logger, take_over

__all__ = ["BoundLogger", "EventLogger", "event_logger", "get_logger", "is_printed_at_once"]


class BoundLogger(structlog.stdlib.BoundLogger):
    """A logger with structlog's interface whose events are stdlib records, so that every handler and filter sees them."""

    def bind(self, /, **new_values: Any) -> "BoundLogger":
        """Return a logger that adds *new_values* to each of its events."""
        return type(self)(self._logger, [], {**self._context, **new_values})

    def new(self, /, **new_values: Any) -> "BoundLogger":
        """Return a logger that adds *new_values* alone."""
        return type(self)(self._logger, [], new_values)

    def debug(self, event: Any = None, /, *args: Any, **fields: Any) -> None:
        """Log *event* with *fields* at level debug."""
        if self._logger.isEnabledFor(10):
            self._emit(10, event, args, fields)

    def info(self, event: Any = None, /, *args: Any, **fields: Any) -> None:
        """Log *event* with *fields* at level info."""
        if self._logger.isEnabledFor(20):
            self._emit(20, event, args, fields)

    def warning(self, event: Any = None, /, *args: Any, **fields: Any) -> None:
        """Log *event* with *fields* at level warning."""
        if self._logger.isEnabledFor(30):
            self._emit(30, event, args, fields)

    def error(self, event: Any = None, /, *args: Any, **fields: Any) -> None:
        """Log *event* with *fields* at level error."""
        if self._logger.isEnabledFor(40):
            self._emit(40, event, args, fields)

    def critical(self, event: Any = None, /, *args: Any, **fields: Any) -> None:
        """Log *event* with *fields* at level critical."""
        if self._logger.isEnabledFor(50):
            self._emit(50, event, args, fields)

    def exception(self, event: Any = None, /, *args: Any, **fields: Any) -> None:
        """Log *event* with *fields* at level error, with the exception that is being handled."""
        if self._logger.isEnabledFor(40):
            fields.setdefault("exc_info", True)
            self._emit(40, event, args, fields)

    # Positional only, unlike structlog's: a field may be named level.
    def log(self, level: Any, event: Any = None, /, *args: Any, **fields: Any) -> None:  # type: ignore[override]
        """Log *event* with *fields* at *level*, a number or a name."""
        number = _level_number(level)
        if self._logger.isEnabledFor(number):
            self._emit(number, event, args, fields)

    def emit(self, level: int, event: str, fields: dict[str, Any]) -> None:
        """Log *event* at *level*, one of stdlib's, with *fields* as one dict, which is the logger's from then on.

        For the library's own events, which are not lost if logging was configured in the meantime.
        """
        INSTALLED.restore()
        if self._logger.isEnabledFor(level):
            self._emit(level, event, (), fields)

    async def adebug(self, event: Any = None, /, *args: Any, **fields: Any) -> None:
        """As `debug`. The line is written before it returns, without a hop to a thread."""
        if self._logger.isEnabledFor(10):
            self._emit(10, event, args, fields)

    async def ainfo(self, event: Any = None, /, *args: Any, **fields: Any) -> None:
        """As `info`."""
        if self._logger.isEnabledFor(20):
            self._emit(20, event, args, fields)

    async def awarning(self, event: Any = None, /, *args: Any, **fields: Any) -> None:
        """As `warning`."""
        if self._logger.isEnabledFor(30):
            self._emit(30, event, args, fields)

    async def aerror(self, event: Any = None, /, *args: Any, **fields: Any) -> None:
        """As `error`."""
        if self._logger.isEnabledFor(40):
            self._emit(40, event, args, fields)

    async def acritical(self, event: Any = None, /, *args: Any, **fields: Any) -> None:
        """As `critical`."""
        if self._logger.isEnabledFor(50):
            self._emit(50, event, args, fields)

    async def aexception(self, event: Any = None, /, *args: Any, **fields: Any) -> None:
        """As `exception`."""
        if self._logger.isEnabledFor(40):
            fields.setdefault("exc_info", True)
            self._emit(40, event, args, fields)

    async def alog(self, level: Any, event: Any = None, /, *args: Any, **fields: Any) -> None:  # type: ignore[override]
        """As `log`."""
        number = _level_number(level)
        if self._logger.isEnabledFor(number):
            self._emit(number, event, args, fields)

    warn = warning
    err = error
    fatal = critical
    awarn = awarning
    afatal = acritical

    def _emit(self, level: int, event: Any, args: tuple[Any, ...], fields: dict[str, Any]) -> None:
        if self._context:
            fields = {**self._context, **fields}
        chain = configured_processors()
        if chain:
            log_processed(chain, self._logger, level, event, args, fields)
        else:
            log_event(self._logger, level, event, args, fields)


class EventLogger(BoundLogger):
    """What an application's own structlog configuration calls with the event that its processors made."""

    def _emit(self, level: int, event: Any, args: tuple[Any, ...], fields: dict[str, Any]) -> None:
        take_over(self._logger, level, event, args, fields)


def get_logger(name: str | None = None, **initial_fields: Any) -> BoundLogger:
    """Return a logger with structlog's interface. May be called at any time, before anything is configured too.

    Args:
        name: ``None`` for the name of the calling module.
        initial_fields: fields of each of its events.

    .. versionadded:: 0.1.0
    """
    if name is None:
        name = sys._getframe(1).f_globals.get("__name__", "root")
    return BoundLogger(logging.getLogger(name), [], initial_fields)


def event_logger(*args: Any) -> EventLogger:
    """Return what ``structlog.get_logger(*args)`` wraps if the application configured structlog."""
    return EventLogger(stdlib_logger(*args), [], {})


def is_printed_at_once(log: BoundLogger, level: int) -> bool:
    """Return True if an event of *log* becomes a line at once, with no other handler, filter or processor between."""
    logger = log._logger
    if not logger.isEnabledFor(level) or configured_processors():
        return False
    handler = only_listener(logger)
    return handler is not None and handler.lets_through(logger.name, level)


def _level_number(level: Any) -> int:
    if isinstance(level, int):
        return level
    return logging.getLevelNamesMapping().get(str(level).upper(), 20)
