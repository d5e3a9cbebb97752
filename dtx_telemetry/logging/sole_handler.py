"""Who would see a record: where it is our handler alone, none has to be made."""

import logging
from types import FunctionType
from typing import Any

__all__ = ["is_sole_handler"]


def _stdlibs_own(function: Any) -> Any:
    """Return *function*, or ``None`` where an agent (Sentry's, New Relic's, Datadog's) put one of its own in stdlib's place."""
    return function if isinstance(function, FunctionType) and function.__globals__ is vars(logging) else None


_HANDLE = _stdlibs_own(logging.Logger.handle)
_CALL = _stdlibs_own(logging.Logger.callHandlers)
_FACTORY = logging.LogRecord


def _any_listens(handlers: list[logging.Handler]) -> bool:
    """Whether one of *handlers* does anything; kombu gives each logger of its own and of Celery one that does not."""
    return any(type(handler) is not logging.NullHandler for handler in handlers)


def is_sole_handler(handler: logging.Handler, logger: logging.Logger, level: int) -> bool:
    """Whether *handler*, on the root logger, is all that an event of *logger* would come to, and would let it through.

    Asked for each event: handlers, filters and factories come and go.
    """
    kind, own = type(logger), logger.__dict__
    if (
        logger.filters
        or handler.filters
        or handler.level > level
        or kind.handle is not _HANDLE
        or kind.callHandlers is not _CALL
        or "handle" in own  # a test's
        or "callHandlers" in own
        or logging.getLogRecordFactory() is not _FACTORY
    ):
        return False
    while (parent := logger.parent) is not None:
        if not logger.propagate or (logger.handlers and _any_listens(logger.handlers)):
            return False
        logger = parent
    handlers = logger.handlers
    return len(handlers) == 1 and handlers[0] is handler
