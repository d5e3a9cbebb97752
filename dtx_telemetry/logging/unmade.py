"""Lines of frameworks that we would leave out and nobody else would get: their records need not be made."""

import logging
from collections.abc import Callable

from ..guard import wrap_method
from .logger import BoundLogger
from .processors import configured_processors
from .sole_handler import is_sole_handler
from .state import STATE

__all__ = ["is_printed_at_once", "switch_off_where_unheard"]


def switch_off_where_unheard(name: str, level: int, repeats: Callable[[], bool | None]) -> None:
    """Have a framework's logger say that *level* is off where its line would be left out and no other handler gets it.

    Asked for each line, through the logger's own ``isEnabledFor``, which is there to spare making a record in vain.

    Args:
        name: the logger's.
        level: of its lines that repeat an event of ours.
        repeats: whether a line that is logged now is one that `print_unless_said` leaves out; raises nothing.
    """
    logger = logging.getLogger(name)
    is_enabled = logger.isEnabledFor

    def is_heard(asked: int) -> bool:
        return is_enabled(asked) and not (asked == level and _is_ours_alone(logger, asked) and repeats())

    wrap_method(logger, "isEnabledFor", lambda _: is_heard)


def is_printed_at_once(log: BoundLogger, level: int) -> bool:
    """Whether an event of *log* becomes a line at once: no level, filter, other handler or processor of structlog between."""
    handler, logger = STATE.handler, log._logger
    return (
        handler is not None
        and logger.isEnabledFor(level)
        and not configured_processors()
        and is_sole_handler(handler, logger, level)
    )


def _is_ours_alone(logger: logging.Logger, level: int) -> bool:
    handler = STATE.handler
    return handler is not None and not handler.framework_lines and is_sole_handler(handler, logger, level)
