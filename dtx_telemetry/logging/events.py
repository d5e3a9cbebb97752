"""From an event to our handler: as a record for everybody who listens, or at once where nobody else does."""

import logging
import sys
import traceback
from types import FrameType
from typing import Any

from ..rendering.formats import pairs
from .callsite import calling_frame
from .lines import LEVEL_NAMES, message_text
from .records import NOT_AS_THEY_ARE, STEERING, make_record
from .sole_handler import is_sole_handler
from .state import STATE

__all__ = ["log_event"]

_as_they_are = NOT_AS_THEY_ARE.isdisjoint
_root = logging.getLogger()


def log_event(logger: logging.Logger, level: int, event: Any, args: tuple[Any, ...], fields: dict[str, Any]) -> None:
    """Log *event* on *logger*, whose level lets it through.

    Args:
        logger: stdlib's.
        level: any number.
        event: its text, with placeholders for *args*; anything else is made text, ``None`` stands for ``fields["event"]``.
        args: what is put into the text.
        fields: the fields, and what steers the record (``exc_info``, ``stack_info``, ``stacklevel``); ours from then on.
    """
    handler = STATE.handler
    if (
        handler is not None
        and not args
        and type(event) is str
        and level in LEVEL_NAMES
        and _as_they_are(fields)
        and is_sole_handler(handler, logger, level)
    ):
        handler.print_event(LEVEL_NAMES[level], logger.name, event, fields)
    else:
        _log_record(logger, level, event, args, fields)


def _log_record(logger: logging.Logger, level: int, event: Any, args: tuple[Any, ...], fields: dict[str, Any]) -> None:
    frame = calling_frame()
    exc_info = stack_info = None
    if not STEERING.isdisjoint(fields):
        frame, exc_info, stack_info = _steer(fields, frame)
    if type(event) is not str:
        event = STATE.sanitizer.text(fields.pop("event", "") if event is None else event)
    if STATE.handler not in _root.handlers:
        event, args, fields = _as_text(event, args, fields), (), {}
    logger.handle(make_record(logger, level, event, args, fields, frame, exc_info, stack_info))


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


def _as_text(event: str, args: tuple[Any, ...], fields: dict[str, Any]) -> str:
    """Return the event and its fields as one plain text without secrets, for handlers that know no fields."""
    sanitizer = STATE.sanitizer
    text = sanitizer.text(message_text(sanitizer, event, args))
    return f"{text} {pairs(sanitizer.value(fields))}" if fields else text
