"""Stdlib logging and structlog, put back as they were found."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from _pytest.logging import LogCaptureHandler

__all__ = ["logging_as_found"]


@contextmanager
def logging_as_found() -> Iterator[None]:
    """Put every logger's level, handlers, filters and the rest back after the block, and structlog's configuration."""
    found = {logger: _state(logger) for logger in _loggers()}
    configured, configuration = structlog.is_configured(), structlog.get_config()
    showing, factory = logging._warnings_showwarning, logging.getLogRecordFactory()
    yield
    for logger in _loggers():
        level, handlers, filters, propagate, disabled = found.get(logger, (logging.NOTSET, [], [], True, False))
        logger.level = level
        logger.handlers[:] = handlers + [handler for handler in logger.handlers if isinstance(handler, LogCaptureHandler)]
        logger.filters[:] = filters
        logger.propagate, logger.disabled = propagate, disabled
    logging.root.setLevel(logging.root.level)  # empties the cache of all loggers' effective levels, once
    logging.setLogRecordFactory(factory)
    logging.captureWarnings(showing is not None)
    structlog.configure(**configuration) if configured else structlog.reset_defaults()


def _loggers() -> list[logging.Logger]:
    known = [logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    return [logging.root, *known]


def _state(logger: logging.Logger) -> tuple[int, list[logging.Handler], list[logging.Filter], bool, bool]:
    # pytest adds and removes its own handlers for each phase of a test: they are not ours to put back.
    handlers = [handler for handler in logger.handlers if not isinstance(handler, LogCaptureHandler)]
    return logger.level, handlers, logger.filters[:], logger.propagate, logger.disabled
