"""The part of logging in the life of a scope: its closing event, and the lines of frameworks that waited for it."""

import logging
from functools import cache
from typing import Any

from ..context import End, Participant, Scope, take_part
from ..events import MESSAGE, Kind
from .console import INSTALLED
from .frameworks import spare_sentry
from .line import span_ids
from .logger import BoundLogger, get_logger
from .said_once import WATCH, release
from .tracebacks import note_closing

__all__ = ["ClosingEvents"]


class ClosingEvents(Participant):
    """Logs the closing event of each scope, and then what waited for it."""

    def entered(self, scope: Scope, about: Any) -> None:
        """Put our handlers in place again if logging was configured since the last scope."""
        if scope.kind is not MESSAGE:  # there may be thousands a second, each in a scope that did this
            INSTALLED.restore()

    def ended(self, scope: Scope, end: End) -> None:
        """Log the event of *end*, and print what waited for it if it was not printed."""
        try:
            if end.event is not None and end.is_printed and scope.kind is not None:
                _log_closing(_logger_of(scope.kind), scope, end, end.event.name)
        finally:
            if scope.waiting:
                release(scope)


def _log_closing(log: BoundLogger, scope: Scope, end: End, event: str) -> None:
    error = end.error if end.with_traceback else None
    if error is None and end.level >= logging.ERROR:
        spare_sentry()
    fields = end.fields if error is None else {**end.fields, "exc_info": error}
    before, WATCH.logger, WATCH.printed = WATCH.logger, log.name, False
    try:
        log.emit(end.level, event, fields)
        scope.told = WATCH.printed
    finally:
        WATCH.logger = before
    if scope.told and error is not None:
        note_closing(error, {**scope.own, **span_ids()})


@cache
def _logger_of(kind: Kind) -> BoundLogger:
    return get_logger(kind.logger)


take_part("logging", ClosingEvents())
