"""Installing the pipeline: our handlers in the place of console handlers, the levels, structlog."""

import logging
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from threading import get_ident
from typing import Any

import structlog

from ..config import Settings
from ..rendering.terminal import wants_colour
from .console import INSTALLED, ConsoleHandler, Printer, is_console
from .format import clock_of, make_renderer, make_sanitizer
from .line import LineBuilder
from .logger import BoundLogger, event_logger
from .output import DirectSink, Output, Sink
from .queue import QueueSink
from .streams import FileTarget, StreamTarget
from .structlog import is_set_up, set_up_structlog, stdlib_logger

__all__ = ["beside", "configure", "every_logger", "prints_own_events", "restore"]

# Asked at each scope: the public get_config() makes a dict of all that it holds.
_STRUCTLOG = structlog._config._CONFIG
_OURS = "dtx_telemetry"
#: Handlers that stand on the root logger and say nothing of how the application wants its logging: of tests, of exporters.
_PASSIVE = ("_pytest.", "opentelemetry.")


def configure(settings: Settings, *, level: int | None = None, stream: str | None = None, path: str | None = None) -> None:
    """Install the pipeline as *settings* say, or take it out if they switch telemetry off. Callable any number of times.

    Args:
        settings: all of them.
        level: the least level that is printed, in place of the settings'.
        stream: ``stdout`` or ``stderr``, if the settings name none.
        path: a file to write to, in place of a stream.

    Raises:
        OSError: the file cannot be opened.
    """
    printer = _make_printer(settings, stream, path) if settings.enabled else None
    for standing in _standing:
        standing.take_out()
    before, INSTALLED.printer = INSTALLED.printer, printer
    INSTALLED.sanitizer = make_sanitizer(settings)
    _standing.clear()
    INSTALLED.restore = _do_nothing
    if printer is not None:
        setup = _Setup(printer, settings, settings.log_level if level is None else level)
        _standing.append(setup)
        setup.put_in_place()
        INSTALLED.restore = setup.restore
    if before is not None:
        before.discard()


def restore(*, anyway: bool = False) -> None:
    """Put our handlers in place again if logging or structlog was configured since.

    ``get_wsgi_application`` applies LOGGING a second time, ``uvicorn.run`` its own set-up after the application was loaded.
    Asked at the start of each scope and before each event of the library: it costs next to nothing if nothing has changed.

    Args:
        anyway: look at all loggers, even if nothing seems to have been configured.
    """
    for setup in _standing:
        setup.restore(anyway=anyway)


def _do_nothing() -> None:
    """Restore nothing while nothing is installed."""


@contextmanager
def beside(handler: logging.Handler) -> Generator[None]:
    """Have *handler* get all records for a block, whatever `restore` does meanwhile."""
    _beside.append(handler)
    _add_beside()
    try:
        yield
    finally:
        _beside.remove(handler)
        for logger in every_logger():
            logger.removeHandler(handler)


_beside: list[logging.Handler] = []


def _add_beside() -> None:
    for handler in _beside:
        for logger in every_logger():
            if logger.parent is None or not logger.propagate:
                logger.addHandler(handler)


def every_logger() -> list[logging.Logger]:
    """Return the root logger and all others that are known."""
    known = logging.root.manager.loggerDict.copy()
    return [logging.root, *(logger for logger in known.values() if isinstance(logger, logging.Logger))]


def prints_own_events() -> bool:
    """Return True if one of our handlers lets events of the library through that are logged at info."""
    logger: logging.Logger | None = logging.getLogger(_OURS)
    if not logging.getLogger(_OURS).isEnabledFor(logging.INFO):
        return False
    while logger is not None:
        for handler in logger.handlers:
            if isinstance(handler, ConsoleHandler) and handler.lets_through(_OURS, logging.INFO):
                return True
        logger = logger.parent if logger.propagate else None
    return False


class _Setup:
    """One set-up, as it stands on stdlib's loggers: it is put in place, again if logging was configured over it, and taken out.

    Args:
        printer: prints.
        settings: all of them.
        level: the least level that is printed, ``None`` if no setting asks for one.
    """

    def __init__(self, printer: Printer, settings: Settings, level: int | None) -> None:
        self._printer = printer
        self._settings = settings
        self._level = level
        self._handlers: dict[logging.Handler | None, ConsoleHandler] = {}
        self._levels: dict[logging.Logger, tuple[int, int]] = {}
        self._undo: list[Callable[[], None]] = []
        self._root_is_free = _is_free(logging.root)
        self._on_root: ConsoleHandler | None = None
        self._mark: logging.Handler | None = None
        self._chain: object = None
        self._busy: set[int] = set()

    def restore(self, *, anyway: bool = False) -> None:
        """Put it in place again if a handler was made, the root logger's changed, or structlog configured since.

        Whatever configures logging makes a handler or empties stdlib's list of them.
        """
        handlers = logging._handlerList  # type: ignore[attr-defined]
        if (
            anyway
            or not handlers
            or handlers[-1] is not INSTALLED.newest_handler
            or self._on_root not in logging.root.handlers
            or _STRUCTLOG.default_processors is not self._chain
        ):
            self.put_in_place()

    def put_in_place(self) -> None:
        """Put it in place, as far as it is not. Callable by any thread, and in the midst of itself (a finalizer logs)."""
        thread = get_ident()
        if thread in self._busy:
            return
        self._busy.add(thread)
        try:
            # stdlib's own, which is reentrant: no thread configures logging meanwhile.
            with logging._lock:  # type: ignore[attr-defined]
                self._put_handlers()
                self._set_levels()
                self._mark = logging.NullHandler()  # the newest, and alive as long as this set-up
                INSTALLED.newest_handler = logging._handlerList[-1]  # type: ignore[attr-defined]
            if logging._warnings_showwarning is None:  # type: ignore[attr-defined]
                logging.captureWarnings(True)
                self._undo.append(partial(logging.captureWarnings, False))
            if not is_set_up(stdlib_logger, event_logger):
                self._undo.append(set_up_structlog(event_logger, BoundLogger))
            self._chain = _STRUCTLOG.default_processors
        finally:
            self._busy.discard(thread)

    def take_out(self) -> None:
        """Undo everything that nobody else has changed since."""
        while self._undo:
            self._undo.pop()()
        for logger in every_logger():
            for handler in [other for other in logger.handlers if isinstance(other, ConsoleHandler)]:
                _exchange(logger, handler, handler.replaced)
        for logger, (found, level) in self._levels.items():
            if logger.level == level:
                logger.setLevel(found)

    def _put_handlers(self) -> None:
        loggers = every_logger()
        for logger in loggers:
            if logger.name.partition(".")[0] == _OURS:
                logger.disabled = False  # a LOGGING with disable_existing_loggers came after us
            for handler in list(logger.handlers):
                if is_console(handler):
                    _exchange(logger, handler, self._in_place_of(handler))
                elif isinstance(handler, ConsoleHandler) and handler.printer is not self._printer:
                    _exchange(logger, handler, self._in_place_of(handler.replaced) if handler.replaced else None)
        ours = [handler for handler in logging.root.handlers if isinstance(handler, ConsoleHandler)]
        self._on_root = ours[0] if ours else self._in_place_of(None)
        if not ours:
            logging.root.addHandler(self._on_root)
        _add_beside()
        standing = [handler for logger in loggers for handler in logger.handlers if isinstance(handler, ConsoleHandler)]
        self._handlers = {replaced: handler for replaced, handler in self._handlers.items() if handler in standing}
        INSTALLED.several = len(standing) > 1

    def _in_place_of(self, handler: Any) -> ConsoleHandler:
        """Return our handler for the place of *handler*, one for each, however many loggers it stands on."""
        if handler not in self._handlers:
            ours = self._handlers.setdefault(handler, ConsoleHandler(self._printer, handler))
            if self._level is not None:
                ours.setLevel(self._level)
        return self._handlers[handler]

    def _set_levels(self) -> None:
        settings, root, given = self._settings, logging.root, self._level
        default = logging.INFO if given is None else given
        if self._root_is_free and root not in self._levels:
            self._set_level(root, default)
        elif given is not None and root.level > given:
            self._set_level(root, given)
        for name, level in ((_OURS, default), *((name, logging.WARNING) for name in settings.quiet_loggers)):
            logger = logging.getLogger(name)
            if logger.level == logging.NOTSET and (name == _OURS or name not in settings.log_levels):
                self._set_level(logger, level)
        for name, level in settings.log_levels.items():
            logger = logging.getLogger(name)
            if logger.getEffectiveLevel() > level:
                self._set_level(logger, level)

    def _set_level(self, logger: logging.Logger, level: int) -> None:
        found = self._levels.get(logger)
        self._levels[logger] = (logger.level if found is None or found[1] != logger.level else found[0], level)
        logger.setLevel(level)


#: The default of its option ``--log-fmt``.
_DAPHNES_FORMAT = "%(asctime)-15s %(levelname)-8s %(message)s"
#: The set-up that stands, if any.
_standing: list[_Setup] = []


def _is_free(root: logging.Logger) -> bool:
    """Return True if the root logger is not configured: the level is Python's own, and no handler of a project stands on it."""
    handlers = [handler for handler in root.handlers if not isinstance(handler, logging.NullHandler | ConsoleHandler)]
    handlers = [handler for handler in handlers if not _is_daphnes(handler)]
    passive = [handler for handler in handlers if type(handler).__module__.startswith(_PASSIVE) or handler in _beside]
    return root.level == logging.WARNING and len(handlers) == len(passive)


def _is_daphnes(handler: logging.Handler) -> bool:
    """Return True for the handler that Daphne's command puts on the root logger before it loads the project."""
    return "daphne.cli" in sys.modules and getattr(handler.formatter, "_fmt", None) == _DAPHNES_FORMAT


def _exchange(logger: logging.Logger, handler: logging.Handler, other: logging.Handler | None) -> None:
    """Put *other* into the place of *handler*, if it does not stand on *logger* already."""
    if other is None or other in logger.handlers:
        logger.removeHandler(handler)
    else:
        logger.handlers[logger.handlers.index(handler)] = other


def _make_printer(settings: Settings, stream: str | None, path: str | None) -> Printer:
    sanitizer = make_sanitizer(settings)
    name = settings.log_stream or stream or "stdout"
    target = FileTarget(path) if path is not None else StreamTarget(name)
    wanted, form = wants_colour(), settings.log_format
    coloured = target.is_terminal if wanted is None else lambda: wanted
    renderer = make_renderer(settings, sanitizer, form=form, coloured=coloured, columns=target.columns)
    timestamp = clock_of(form)
    output = Output(target, lambda count: renderer.render(_lost_line(timestamp, count)))
    sink: Sink = QueueSink(sanitizer, renderer, output) if settings.log_queue else DirectSink(renderer, output)
    builder = LineBuilder(sanitizer, timestamp)
    levels, framework_lines = settings.log_levels, settings.framework_lines
    return Printer(builder, sink, levels=levels, framework_lines=framework_lines, goes_to=path or name)


def _lost_line(timestamp: Callable[[float], str], count: int) -> dict[str, Any]:
    return {
        "timestamp": timestamp(time.time()),
        "level": "warning",
        "logger": _OURS,
        "event": "log_lines_lost",
        "count": count,
    }
