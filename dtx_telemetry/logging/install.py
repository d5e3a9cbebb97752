"""Installing the pipeline: the handler, the levels, the console handlers that it replaces, structlog."""

import logging
import sys
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import structlog

from ..config import Settings
from ..rendering import JsonRenderer, LogfmtRenderer, PrettyRenderer, Renderer, Sanitizer, Secrets, local_time
from ..rendering.styles import wants_colour
from .handler import TelemetryHandler
from .lines import LineBuilder, utc_clock
from .logger import BoundLogger, stdlib_logger
from .output import FileTarget, Output, StreamTarget
from .sinks import DirectSink, QueueSink, Sink
from .state import PROCESSORS, STATE

__all__ = ["configure", "restore"]

#: First parts of the names of loggers on which frameworks and servers put console handlers.
_FRAMEWORKS = frozenset(
    {"amqp", "celery", "channels", "channels_redis", "daphne", "django", "granian", "gunicorn", "hypercorn", "kombu"}
    | {"py", "uvicorn"}
)
_undo: list[Callable[[], None]] = []
#: The last `configure`, to be done again.
_again: list[Callable[[], None]] = []


def configure(settings: Settings, *, level: int | None = None, stream: str | None = None, path: str | None = None) -> None:
    """Install the pipeline as *settings* say, or take it out where they switch telemetry off. Callable any number of times.

    Args:
        settings: all of them.
        level: the root logger's, in place of the settings'.
        stream: ``stdout`` or ``stderr``, where the settings name none.
        path: a file to write to, in place of a stream.

    Raises:
        OSError: the file cannot be opened.
    """
    handler = _make_handler(settings, stream, path) if settings.enabled else None
    while _undo:
        _undo.pop()()
    STATE.handler = handler
    if handler is None:
        return
    root = logging.getLogger()
    for logger in [root, *_loggers_of(_FRAMEWORKS)]:
        _take_off_console(logger)
    for logger in _loggers_of({"dtx_telemetry"}):
        logger.disabled = False  # Django's LOGGING with disable_existing_loggers came after us
    root.addHandler(handler)
    _undo.append(handler.discard)
    _undo.append(lambda: root.removeHandler(handler))
    _set_levels(settings, level)
    _capture_warnings()
    _configure_structlog()
    _again[:] = [partial(configure, settings, level=level, stream=stream, path=path)]


def restore() -> None:
    """Install the pipeline again, as it was, where logging was configured over it: ``get_wsgi_application`` does so again."""
    loggers = [logging.getLogger(), *_loggers_of(_FRAMEWORKS)]
    if STATE.handler is not None and any(_is_console(handler) for logger in loggers for handler in logger.handlers):
        _again[0]()


def _make_handler(settings: Settings, stream: str | None, path: str | None) -> TelemetryHandler:
    sanitizer = Sanitizer(Secrets(settings.redact_keys), settings.log_max_value_length)
    target = FileTarget(path) if path is not None else StreamTarget(settings.log_stream or stream or "stdout")
    pretty = settings.log_format == "pretty"
    renderer: Renderer
    if pretty:
        renderer = PrettyRenderer(sanitizer, _colouring(target), target.columns)
    else:
        renderer = LogfmtRenderer(sanitizer) if settings.log_format == "logfmt" else JsonRenderer(sanitizer)
    timestamp = local_time if pretty else utc_clock()
    output = Output(target, lambda count: renderer.render(_lost_line(timestamp, count)))
    sink: Sink = QueueSink(sanitizer, renderer, output) if settings.log_queue else DirectSink(renderer, output)
    return TelemetryHandler(
        LineBuilder(sanitizer, timestamp), sink, drop_server_access="django.server" in settings.quiet_loggers
    )


def _lost_line(timestamp: Callable[[float], str], count: int) -> dict[str, Any]:
    return {
        "timestamp": timestamp(time.time()),
        "level": "warning",
        "logger": "dtx_telemetry",
        "event": "log_lines_lost",
        "count": count,
    }


def _colouring(target: StreamTarget | FileTarget) -> Callable[[], bool]:
    """Whether to colour: as the environment asks, else where the stream is a terminal."""
    wanted = wants_colour()
    return target.is_terminal if wanted is None else lambda: wanted


def _loggers_of(packages: Collection[str]) -> list[logging.Logger]:
    known = logging.root.manager.loggerDict.copy()
    return [
        logger for name, logger in known.items() if isinstance(logger, logging.Logger) and name.partition(".")[0] in packages
    ]


def _take_off_console(logger: logging.Logger) -> None:
    """Take console handlers off *logger* and let its records go up to ours."""
    console = [handler for handler in logger.handlers if _is_console(handler)]
    for handler in console:
        logger.removeHandler(handler)
        _undo.append(lambda handler=handler: logger.addHandler(handler))  # type: ignore[misc]
    if console and not logger.propagate:
        logger.propagate = True
        _undo.append(lambda: setattr(logger, "propagate", False))


def _is_console(handler: logging.Handler) -> bool:
    if not isinstance(handler, logging.StreamHandler) or isinstance(handler, logging.FileHandler | TelemetryHandler):
        return False
    stream = handler.stream
    if stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        return True
    try:
        return stream.fileno() in (1, 2)
    except Exception:
        return False


def _set_levels(settings: Settings, level: int | None) -> None:
    everybody = settings.log_level if level is None else level
    _set_level(logging.getLogger(), everybody)
    quiet = max(logging.WARNING, everybody)
    for name in settings.quiet_loggers:
        logger = logging.getLogger(name)
        if name not in settings.log_levels and logger.level < quiet:
            _set_level(logger, quiet)
    for name, number in settings.log_levels.items():
        _set_level(logging.getLogger(name), number)


def _set_level(logger: logging.Logger, level: int) -> None:
    found = logger.level
    logger.setLevel(level)

    def put_back() -> None:
        if logger.level == level:  # else somebody set it since
            logger.setLevel(found)

    _undo.append(put_back)


def _capture_warnings() -> None:
    if logging._warnings_showwarning is None:  # type: ignore[attr-defined]
        logging.captureWarnings(True)
        _undo.append(lambda: logging.captureWarnings(False))


def _configure_structlog() -> None:
    if structlog.is_configured():
        _undo.append(partial(structlog.configure, **structlog.get_config()))
    else:
        _undo.append(structlog.reset_defaults)
    structlog.configure(
        processors=PROCESSORS,
        wrapper_class=BoundLogger,
        context_class=dict,
        logger_factory=stdlib_logger,
        cache_logger_on_first_use=True,
    )
