"""structlog's configuration: ours, or the application's with our rendering."""

from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from .logger import BoundLogger, event_logger, stdlib_logger
from .processors import without_rendering

__all__ = ["is_set_up", "set_up_structlog"]

_FACTORIES = (event_logger, stdlib_logger)


def is_set_up() -> bool:
    """Whether what loggers of structlog log comes to us."""
    return structlog.get_config()["logger_factory"] in _FACTORIES


def set_up_structlog() -> Callable[[], None]:
    """Have structlog's loggers log through us; return what undoes it.

    Where the application has configured structlog, that stays but for its renderer and what it writes to.
    """
    configured, found = structlog.is_configured(), structlog.get_config()
    if configured:
        structlog.configure(processors=without_rendering(found["processors"]), logger_factory=event_logger)
    else:
        structlog.configure(
            processors=[],
            wrapper_class=BoundLogger,
            context_class=dict,
            logger_factory=stdlib_logger,
            cache_logger_on_first_use=True,
        )
    return partial(_put_back, configured, found)


def _put_back(configured: bool, found: dict[str, Any]) -> None:
    if not is_set_up():  # somebody configured it since
        return
    if configured:
        structlog.configure(**found)
    else:
        structlog.reset_defaults()
