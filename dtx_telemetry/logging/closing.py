"""The part of logging in the life of a scope: its closing event, and the lines of frameworks that waited for it."""

from functools import cache
from typing import Any

from ..context import End, Participant, Scope, take_part
from ..events import MESSAGE, Kind
from .install import restore
from .logger import BoundLogger, get_logger
from .said_once import log_closing_event, release

__all__ = ["ClosingEvents"]


class ClosingEvents(Participant):
    """Logs the closing event of each scope, and then what waited for it."""

    def entered(self, scope: Scope, about: Any) -> None:
        """Put our handlers in place again if logging was configured since the last scope."""
        if scope.kind is not MESSAGE:  # of which there may be thousands a second, each in a scope that did this
            restore()

    def ended(self, scope: Scope, end: End) -> None:
        """Log the event of *end*."""
        if end.event is not None and end.is_printed and scope.kind is not None:
            fields = {**end.fields, "exc_info": end.error} if end.error is not None and end.with_traceback else end.fields
            log_closing_event(_logger_of(scope.kind), scope, end.level, end.event.name, fields)
        if scope.waiting:  # there was no event, or none came about
            release(scope)


@cache
def _logger_of(kind: Kind) -> BoundLogger:
    return get_logger(kind.logger)


take_part("logging", ClosingEvents())
