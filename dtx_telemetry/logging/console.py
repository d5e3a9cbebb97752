"""Console handlers: what they print, our handler prints."""

import logging
import sys
from collections.abc import Callable

__all__ = ["any_console", "every_logger", "take_off_consoles"]


def every_logger() -> list[logging.Logger]:
    """Return the root logger and all others that are known."""
    known = logging.root.manager.loggerDict.copy()
    return [logging.root, *(logger for logger in known.values() if isinstance(logger, logging.Logger))]


def any_console() -> bool:
    """Whether there is a console handler on any logger."""
    return any(_is_console(handler) for logger in every_logger() for handler in logger.handlers)


def take_off_consoles() -> list[Callable[[], None]]:
    """Take all console handlers off their loggers, which then propagate; return what puts them back."""
    return [put_back for logger in every_logger() for put_back in _take_off(logger)]


def _take_off(logger: logging.Logger) -> list[Callable[[], None]]:
    console = [handler for handler in logger.handlers if _is_console(handler)]
    if not console:
        return []
    for handler in console:
        logger.removeHandler(handler)
    propagated, logger.propagate = logger.propagate, True

    def put_back() -> None:
        if any(map(_is_console, logger.handlers)):  # logging was configured again since
            return
        for handler in console:
            logger.addHandler(handler)
        logger.propagate = propagated

    return [put_back]


def _is_console(handler: logging.Handler) -> bool:
    if not isinstance(handler, logging.StreamHandler) or isinstance(handler, logging.FileHandler):
        return False
    stream = handler.stream
    if any(stream is standard for standard in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)):
        return stream is not None
    try:
        return stream.fileno() in (1, 2)
    except Exception:
        return False
