"""The one guard between telemetry and the application that it watches.

Whatever goes wrong inside this library ends here, in one log line, and never in a view, a task or a consumer.
"""

import functools
import logging
from collections.abc import Callable
from typing import TypeVar

__all__ = ["never_raises", "report"]

_R = TypeVar("_R")
_logger = logging.getLogger("dtx_telemetry")


def report(where: str, error: Exception) -> None:
    """Log that telemetry failed at *where*; raises nothing, whatever the handlers do."""
    try:
        _logger.error("telemetry_failed", exc_info=error, extra={"where": where})
    except Exception:  # noqa: S110 - a handler of the application's failed: there is nobody left to tell
        pass


def never_raises(function: Callable[..., _R]) -> Callable[..., _R | None]:
    """Make *function* return ``None`` and log ``telemetry_failed`` where it would raise an exception.

    ``KeyboardInterrupt``, ``SystemExit`` and ``asyncio.CancelledError`` are the application's and go on.
    """

    @functools.wraps(function)
    def guarded(*args: object, **kwargs: object) -> _R | None:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            report(function.__qualname__, error)
            return None

    return guarded
