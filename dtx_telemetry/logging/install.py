"""Installing the pipeline: the handler, the levels, the console handlers that it replaces, structlog."""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ..config import Settings
from ..rendering import JsonRenderer, LogfmtRenderer, PrettyRenderer, Renderer, Sanitizer, Secrets, local_time
from ..rendering.terminal import wants_colour
from .console import any_console, every_logger, take_off_consoles
from .handler import TelemetryHandler
from .lines import LineBuilder, utc_clock
from .output import Output
from .sinks import DirectSink, QueueSink, Sink
from .state import STATE
from .structlog_setup import is_set_up, set_up_structlog
from .targets import FileTarget, StreamTarget

__all__ = ["beside", "configure", "restore"]

_undo: list[Callable[[], None]] = []
#: Handlers that belong on the root logger along with ours, see `beside`.
_beside: list[logging.Handler] = []
#: What the last `configure` installed, to be installed again.
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
    before, STATE.handler = STATE.handler, handler
    STATE.sanitizer = _make_sanitizer(settings)
    _again[:] = [partial(_install, handler, settings, level)] if handler is not None else [_uninstall]
    _again[0]()
    if before is not None:
        before.discard()


def restore() -> None:
    """Install the pipeline again, as it was, where logging or structlog was configured over it.

    ``get_wsgi_application`` applies LOGGING a second time; another app's ``ready()`` may configure structlog after ours.
    """
    handler = STATE.handler
    if handler is None:
        return
    if handler not in logging.getLogger().handlers or any_console() or _any_disabled():
        _again[0]()
    elif not is_set_up():
        _undo.append(set_up_structlog())


@contextmanager
def beside(handler: logging.Handler) -> Generator[None]:
    """Have *handler* on the root logger for a block; `restore` puts it back there as well as ours."""
    root = logging.getLogger()
    _beside.append(handler)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        _beside.remove(handler)


def _install(handler: TelemetryHandler, settings: Settings, level: int | None) -> None:
    _uninstall()
    root = logging.getLogger()
    _undo.extend(take_off_consoles())
    for logger in _own_loggers():
        logger.disabled = False  # Django's LOGGING with disable_existing_loggers came after us
    root.addHandler(handler)
    _undo.append(lambda: root.removeHandler(handler))
    for other in _beside:
        root.addHandler(other)
    _set_levels(settings, level)
    _capture_warnings()
    _undo.append(set_up_structlog())


def _uninstall() -> None:
    while _undo:
        _undo.pop()()


def _own_loggers() -> list[logging.Logger]:
    return [logger for logger in every_logger() if logger.name.partition(".")[0] == "dtx_telemetry"]


def _any_disabled() -> bool:
    return any(logger.disabled for logger in _own_loggers())


def _make_sanitizer(settings: Settings) -> Sanitizer:
    return Sanitizer(Secrets(settings.redact_keys), settings.log_max_value_length)


def _make_handler(settings: Settings, stream: str | None, path: str | None) -> TelemetryHandler:
    sanitizer = _make_sanitizer(settings)
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
    return TelemetryHandler(LineBuilder(sanitizer, timestamp), sink, framework_lines=settings.framework_lines)


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
