"""From an event of our loggers to those who listen: as a record for all handlers, or at once if ours is the only one."""

import logging
import sys
import traceback
from collections.abc import Callable
from functools import lru_cache
from types import FrameType, FunctionType
from typing import Any

# Where structlog's async methods note their caller, before they hop to a thread; its processors begin their search there.
from structlog.contextvars import _ASYNC_CALLING_STACK as CALLER

from ..guard import wrap_method
from ..rendering.formats import pairs
from .console import INSTALLED, ConsoleHandler
from .line import message_text
from .records import LEVEL_NAMES, NOT_AS_THEY_ARE, STEERING, add_fields

__all__ = ["CALLER", "calling_frame", "log_event", "log_record", "only_listener", "switch_off_where_unheard"]

_as_they_are = NOT_AS_THEY_ARE.isdisjoint


def log_event(logger: logging.Logger, level: int, event: Any, args: tuple[Any, ...], fields: dict[str, Any]) -> None:
    """Log *event* on *logger*, whose level lets it through.

    Args:
        logger: stdlib's.
        level: any number.
        event: its text, with placeholders for *args*. Anything else is made text. ``None`` stands for ``fields["event"]``.
        args: what is put into the text.
        fields: the fields, and what steers the record (``exc_info``, ``stack_info``, ``stacklevel``). The dict is used up.
    """
    if (
        not args
        and type(event) is str
        and level in LEVEL_NAMES
        and _as_they_are(fields)
        # A record would have nothing that the event has not.
        and type(logger).makeRecord is _MAKE
        and logging.getLogRecordFactory() is _FACTORY
        and (handler := only_listener(logger)) is not None
    ):
        if level >= handler.level and (handler.printer.least_level is None or handler.lets_through(logger.name, level)):
            handler.printer.print_event(LEVEL_NAMES[level], logger.name, event, fields)
        return
    if type(event) is not str:
        event = INSTALLED.sanitizer.text(fields.pop("event", "") if event is None else event)
    log_record(logger, level, event, args, fields)


def log_record(logger: logging.Logger, level: int, message: Any, args: tuple[Any, ...], fields: dict[str, Any]) -> None:
    """Log a record of *message* on *logger*, with *fields* as `log_event` takes them."""
    frame = calling_frame()
    exc_info = stack = None
    if not STEERING.isdisjoint(fields):
        frame, exc_info, stack = _steer(fields, frame)
    if not any(type(handler) is ConsoleHandler for handler in logging.root.handlers):
        message, args, fields = _as_text(message, args, fields), (), {}
    code = frame.f_code
    # By the logger's own method: agents replace it, to put their ids on each record.
    record = logger.makeRecord(
        logger.name, level, code.co_filename, frame.f_lineno, message, args, exc_info, code.co_name, None, stack
    )
    factory = logging.getLogRecordFactory()
    add_fields(record, fields, ignored=frozenset() if factory is _FACTORY else _names_of(factory))
    logger.handle(record)


def calling_frame() -> FrameType:
    """Return the frame that logs, outside structlog and this package. At exit, when there is none, the outermost one."""
    frame = CALLER.get(None) or sys._getframe(1)
    while _is_loggers(frame) and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _is_loggers(frame: FrameType) -> bool:
    name = str(frame.f_globals.get("__name__"))
    return name.partition(".")[0] == "structlog" or name.startswith("dtx_telemetry.logging.")


def _steer(fields: dict[str, Any], frame: FrameType) -> tuple[FrameType, Any, str | None]:
    """Take out of *fields* what is meant for the record: whose line it is, the exception, whether to print the stack."""
    level = fields.pop("stacklevel", 1)
    for _ in range(min(level, 1000) - 1 if isinstance(level, int) else 0):
        frame = frame.f_back or frame
    stack = None
    if fields.pop("stack_info", None):
        stack = "".join(["Stack (most recent call last):\n", *traceback.format_stack(frame)]).rstrip("\n")
    exc_info = fields.pop("exc_info", None)
    if isinstance(exc_info, BaseException):
        exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
    elif not isinstance(exc_info, tuple):
        if not isinstance(exc_info, int | None):
            fields["exc_info"] = exc_info  # somebody's own field of that name
        exc_info = sys.exc_info() if exc_info else ()
    known = len(exc_info) == 3 and isinstance(exc_info[1], BaseException)
    return frame, exc_info if known else None, stack


def _as_text(event: Any, args: tuple[Any, ...], fields: dict[str, Any]) -> str:
    """Return the event and its fields as one plain text without secrets, for handlers that know no fields."""
    sanitizer = INSTALLED.sanitizer
    text = sanitizer.text(message_text(sanitizer, event, args))
    return f"{text} {pairs(sanitizer.value(fields))}" if fields else text


@lru_cache(maxsize=8)
def _names_of(factory: Callable[..., logging.LogRecord]) -> frozenset[str]:
    """Return the names that a record factory of another library puts on every record. They say nothing of an event of ours."""
    try:
        made = factory("dtx_telemetry", logging.INFO, "", 0, "", (), None)
    except Exception:
        return frozenset()
    return frozenset(vars(made))


def _stdlibs_own(function: Any) -> Any:
    """Return *function*, or ``None`` if an agent (Sentry's, New Relic's, Datadog's) put one of its own in stdlib's place."""
    return function if isinstance(function, FunctionType) and function.__globals__ is vars(logging) else None


_HANDLE = _stdlibs_own(logging.Logger.handle)
_CALL = _stdlibs_own(logging.Logger.callHandlers)
_MAKE = _stdlibs_own(logging.Logger.makeRecord)
_FACTORY = logging.LogRecord
_WRAPPED_BY_TESTS = frozenset({"handle", "callHandlers", "makeRecord"})


def only_listener(logger: logging.Logger) -> ConsoleHandler | None:
    """Return our handler if nothing else would see an event of *logger*, and nothing decide over it.

    Asked for each event: handlers, filters and factories come and go.
    """
    kind = type(logger)
    if (
        logger.filters
        or kind.handle is not _HANDLE
        or kind.callHandlers is not _CALL
        or not _WRAPPED_BY_TESTS.isdisjoint(logger.__dict__)
    ):
        return None
    found: ConsoleHandler | None = None
    current: logging.Logger | None = logger
    while current is not None:
        for handler in current.handlers:
            if type(handler) is ConsoleHandler and found is None:
                found = handler
            elif type(handler) is not logging.NullHandler:  # kombu gives one to each logger of its own and of Celery
                return None
        current = current.parent if current.propagate else None
    return found if found is not None and found.prints_lines and not found.filters else None


def switch_off_where_unheard(name: str, level: int, repeats: Callable[[], bool | None]) -> None:
    """Have a framework's logger say that *level* is off if its line would be left out and no other handler gets it.

    Asked for each line, through the logger's own ``isEnabledFor``, which is there to spare making a record in vain.

    Args:
        name: the logger's.
        level: of its lines that repeat an event of ours.
        repeats: whether a line that is logged now is one that `print_unless_said` leaves out. Raises nothing.
    """
    logger = logging.getLogger(name)
    is_enabled = logger.isEnabledFor

    def is_heard(asked: int) -> bool:
        return is_enabled(asked) and not (asked == level and _is_ours_alone(logger, asked) and repeats())

    wrap_method(logger, "isEnabledFor", lambda _: is_heard)


def _is_ours_alone(logger: logging.Logger, level: int) -> bool:
    handler = only_listener(logger)
    return handler is not None and not handler.printer.framework_lines and handler.lets_through(logger.name, level)
