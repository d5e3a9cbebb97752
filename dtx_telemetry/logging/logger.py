"""The loggers: structlog's methods, on stdlib's loggers and records."""

import logging
import sys
import traceback
from types import FrameType
from typing import Any

import structlog

from ..rendering.logfmt import pairs
from .lines import LEVEL_NAMES, message_text
from .records import NOT_AS_THEY_ARE, STEERING, make_record
from .sole_handler import is_sole_handler
from .state import PROCESSORS, STATE

__all__ = ["BoundLogger", "get_logger", "stdlib_logger"]

_as_they_are = NOT_AS_THEY_ARE.isdisjoint
_root = logging.getLogger()


class BoundLogger(structlog.stdlib.BoundLogger):
    """A logger with structlog's interface whose events are stdlib records, so that every handler and filter sees them."""

    def bind(self, /, **new_values: Any) -> "BoundLogger":
        """Return a logger that adds *new_values* to each of its events."""
        return type(self)(self._logger, self._processors, {**self._context, **new_values})

    def new(self, /, **new_values: Any) -> "BoundLogger":
        """Return a logger that adds *new_values* alone."""
        return type(self)(self._logger, self._processors, new_values)

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

        For the library's own events, so that none of them takes a way round.
        """
        logger, handler = self._logger, STATE.handler
        if not logger.isEnabledFor(level):
            return
        as_it_is = not self._processors and not self._context and _as_they_are(fields)
        if as_it_is and handler is not None and is_sole_handler(handler, logger, level):
            handler.print_event(LEVEL_NAMES[level], logger.name, event, fields)
        else:
            self._emit(level, event, (), fields)

    async def adebug(self, event: Any = None, /, *args: Any, **fields: Any) -> None:
        """As `debug`; the line is written before it returns, there is no thread to hop to."""
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
        if self._processors:
            try:
                event, fields = self._processed(level, event, args, fields)
            except structlog.DropEvent:
                return
        handler = STATE.handler
        if (
            handler is not None
            and not args
            and type(event) is str
            and level in LEVEL_NAMES
            and _as_they_are(fields)
            and is_sole_handler(handler, self._logger, level)
        ):
            handler.print_event(LEVEL_NAMES[level], self._logger.name, event, fields)
            return
        method = sys._getframe(1)
        frame = method.f_back or method  # called by the interpreter itself, as at exit: no frame
        exc_info = stack_info = None
        if not STEERING.isdisjoint(fields):
            frame, exc_info, stack_info = _steer(fields, frame)
        if type(event) is not str:
            event = STATE.sanitizer.text(fields.pop("event", "") if event is None else event)
        if handler not in _root.handlers:
            event, args, fields = _as_text(event, args, fields), (), {}
        self._logger.handle(make_record(self._logger, level, event, args, fields, frame, exc_info, stack_info))

    def _processed(self, level: int, event: Any, args: tuple[Any, ...], fields: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Run structlog's processors, where tests or an application have put some."""
        if args:
            fields["positional_args"] = args
        positional, named = self._process_event(LEVEL_NAMES.get(level, "info"), event, fields)
        named = dict(named)
        return (positional[0] if positional else named.pop("event", None)), named


def get_logger(name: str | None = None, **initial_fields: Any) -> BoundLogger:
    """Return a logger with structlog's interface. May be called at any time, before anything is configured too.

    Args:
        name: ``None`` for the name of the calling module.
        initial_fields: fields of each of its events.
    """
    if name is None:
        name = sys._getframe(1).f_globals.get("__name__", "root")
    return BoundLogger(logging.getLogger(name), PROCESSORS, initial_fields)


def stdlib_logger(*args: Any) -> logging.Logger:
    """Return the stdlib logger for ``structlog.get_logger(*args)``: of the name given, or of the calling module."""
    if args and isinstance(args[0], str):
        return logging.getLogger(args[0])
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "structlog":
        frame = frame.f_back
    return logging.getLogger(frame.f_globals.get("__name__") if frame is not None else None)


def _steer(fields: dict[str, Any], frame: FrameType) -> tuple[FrameType, Any, str | None]:
    """Take out of *fields* what is meant for the record: whose line it is, the exception, whether to print the stack."""
    level = fields.pop("stacklevel", 1)
    for _ in range(min(level, 1000) - 1 if isinstance(level, int) else 0):
        frame = frame.f_back or frame
    stack_info = "".join(traceback.format_stack(frame)).rstrip("\n") if fields.pop("stack_info", None) else None
    exc_info = fields.pop("exc_info", None)
    if isinstance(exc_info, BaseException):
        exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
    elif not isinstance(exc_info, tuple):
        if not isinstance(exc_info, int | None):
            fields["exc_info"] = exc_info  # somebody's own field of that name
        exc_info = sys.exc_info() if exc_info else ()
    known = len(exc_info) == 3 and isinstance(exc_info[1], BaseException)
    return frame, exc_info if known else None, stack_info


def _level_number(level: Any) -> int:
    if isinstance(level, int):
        return level
    return logging.getLevelNamesMapping().get(str(level).upper(), 20)


def _as_text(event: str, args: tuple[Any, ...], fields: dict[str, Any]) -> str:
    """Return the event and its fields as one plain text without secrets, for handlers that know no fields."""
    sanitizer = STATE.sanitizer
    text = sanitizer.text(message_text(sanitizer, event, args))
    return f"{text} {pairs(sanitizer.value(fields))}" if fields else text
