"""structlog's configuration: ours, or the application's, whose processors run and whose events we print.

An application that configures structlog, before us or after, keeps its processors (those that mask or drop something, name the
caller or capture events for tests), its wrapper class and its context class. If it logs by stdlib's loggers all of its chain
runs, and other handlers (a file under `ProcessorFormatter`) get what they would get without us: what our line needs besides is
noted on the values that rendering made. If it prints by itself we print in its place, and rendering is left out.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any

import structlog
from structlog import dev, processors, stdlib

from .console import INSTALLED
from .emit import CALLER, calling_frame, log_event, log_record
from .line import message_text, taken_away
from .records import LEVEL_NAMES, EventText, Made, exception_in, made_of, rendered, without_repeated

# Asked at each event: the public get_config() makes a dict of all that it holds.
_CONFIGURATION = structlog._config._CONFIG

__all__ = ["configured_processors", "log_processed", "set_up_structlog", "stdlib_logger", "take_over"]

Processor = Callable[[Any, str, Any], Any]
_WRAPPING = (
    stdlib.ProcessorFormatter.wrap_for_formatter,
    getattr(stdlib, "render_to_log_args_and_kwargs", None),  # newer than the oldest structlog that we support
    stdlib.render_to_log_kwargs,
)
_TEXT_RENDERERS = (
    dev.ConsoleRenderer,
    processors.JSONRenderer,
    processors.KeyValueRenderer,
    processors.LogfmtRenderer,
)
_STAMPERS = (processors.MaybeTimeStamper, processors.TimeStamper)
_LEFT_OUT = (
    *_TEXT_RENDERERS,
    processors.EventRenamer,
    processors.ExceptionPrettyPrinter,
    processors.ExceptionRenderer,
    processors.StackInfoRenderer,
    processors.UnicodeEncoder,
)


def set_up_structlog(logger_factory: Callable[..., Any], wrapper_class: type) -> Callable[[], None]:
    """Have structlog's loggers log through us, and return what undoes it.

    Args:
        logger_factory: makes what an application's own configuration logs to, unless that is a logger of stdlib's.
        wrapper_class: our loggers', if the application has configured nothing.
    """
    configured, found = structlog.is_configured(), structlog.get_config()
    if not configured:
        structlog.configure(
            processors=[],
            wrapper_class=wrapper_class,
            context_class=dict,
            logger_factory=stdlib_logger,
            cache_logger_on_first_use=True,
        )
    elif _logs_by_stdlib():
        structlog.configure(processors=_noting(found["processors"]))
    else:
        structlog.configure(processors=_without_rendering(found["processors"]), logger_factory=logger_factory)
    return partial(_put_back, configured, found, (stdlib_logger, logger_factory))


def is_set_up(*factories: Callable[..., Any]) -> bool:
    """Return True if what loggers of structlog log comes to us as it has to, by one of our *factories* or by stdlib's."""
    if _logs_by_stdlib():
        return all(_noted(processor) is None for processor in _CONFIGURATION.default_processors)
    return _CONFIGURATION.logger_factory in factories


def _put_back(configured: bool, found: dict[str, Any], factories: tuple[Callable[..., Any], ...]) -> None:
    if not is_set_up(*factories):  # somebody configured it since
        return
    if configured:
        structlog.configure(**found)
    else:
        structlog.reset_defaults()


def _logs_by_stdlib() -> bool:
    return _CONFIGURATION.is_configured and isinstance(_CONFIGURATION.logger_factory, stdlib.LoggerFactory)


def stdlib_logger(*args: Any) -> logging.Logger:
    """Return the stdlib logger for ``structlog.get_logger(*args)``: of the name given, or of the calling module."""
    if args and isinstance(args[0], str):
        return logging.getLogger(args[0])
    return logging.getLogger(calling_frame().f_globals.get("__name__"))


def configured_processors() -> Sequence[Processor]:
    """Return the processors that the application configured structlog with, if it did."""
    return _CONFIGURATION.default_processors if _CONFIGURATION.is_configured else ()  # type: ignore[return-value]


def _without_rendering(chain: Sequence[Processor]) -> list[Processor]:
    """Return *chain* without what our handler does itself."""
    return [_careful(processor) for processor in chain if not _renders(processor)]


def _renders(processor: Processor) -> bool:
    return isinstance(processor, _LEFT_OUT) or processor in _WRAPPING or _stamps(processor)


def _stamps(processor: Processor) -> bool:
    stamper = getattr(processor, "stamper", processor)
    return isinstance(processor, _STAMPERS) and getattr(stamper, "key", None) == "timestamp"


def _careful(processor: Processor) -> Processor:
    return PositionalArgumentsFormatter() if type(processor) is stdlib.PositionalArgumentsFormatter else processor


class PositionalArgumentsFormatter(stdlib.PositionalArgumentsFormatter):
    """structlog's, without secrets in the arguments, and leaving those that do not fit to us.

    It bears the same name, since pytest-structlog tells by their names which processors run in tests.
    """

    def __call__(self, logger: Any, method: str, event: Any) -> Any:
        """Put the positional arguments of *event* into its text."""
        args = event.get("positional_args")
        if not args:
            return event
        event["positional_args"] = tuple([INSTALLED.sanitizer.without_secrets(arg) for arg in args])
        try:
            return super().__call__(logger, method, {**event})
        except Exception:
            args = event.pop("positional_args")
            return {**event, "event": message_text(INSTALLED.sanitizer, event.get("event"), args)}


def _noting(chain: Sequence[Processor]) -> list[Processor]:
    """Return all of *chain*, with notes for our line on what it makes. See `records.Made`."""
    return [_noted(processor) or _careful(processor) for processor in chain if not _prints(processor)]


def _prints(processor: Processor) -> bool:
    return isinstance(processor, processors.ExceptionPrettyPrinter)


def _noted(processor: Processor) -> Processor | None:
    """Return *processor* as it takes notes, ``None`` for one that needs none: it renders nothing, or takes them already."""
    note: Callable[[Any, Any], Any]
    if isinstance(processor, processors.ExceptionRenderer):
        note = _note_exception
    elif _stamps(processor):
        note = _note_timestamp
    elif isinstance(processor, processors.EventRenamer):
        note = _note_event
    elif isinstance(processor, _TEXT_RENDERERS):
        note = rendered
    else:
        return None

    def run(logger: Any, method: str, event: Any) -> Any:
        before = dict(event) if isinstance(event, dict) else {}
        if before.get("exc_info") is True:
            before["exc_info"] = sys.exc_info()
        return note(processor(logger, method, event), before)

    run.__qualname__ = type(processor).__name__  # by which pytest-structlog knows it
    return run


def _note_exception(event: Any, before: dict[str, Any]) -> Any:
    error = exception_in(before.get("exc_info"))
    if error is not None and "exception" in event and "exception" not in before:
        event["exception"] = made_of(event["exception"], error)
    return event


def _note_timestamp(event: Any, before: dict[str, Any]) -> Any:
    if "timestamp" in event and "timestamp" not in before:
        event["timestamp"] = made_of(event["timestamp"])
    return event


def _note_event(event: Any, before: dict[str, Any]) -> Any:
    text = before.get("event")
    for key in [key for key, value in event.items() if value is text and key != "event" and type(text) is str]:
        event[key] = EventText(text)
    return event


def log_processed(
    chain: Sequence[Processor],
    logger: logging.Logger,
    level: int,
    event: Any,
    args: tuple[Any, ...],
    fields: dict[str, Any],
) -> None:
    """Run *chain* on an event as structlog does, and log what it makes of it. See `log_event`."""
    if event is not None:
        fields = {**fields, "event": event}
    if args:
        fields["positional_args"] = args
    chain = _noting(chain) if _logs_by_stdlib() else _without_rendering(chain)
    try:
        made = _run(chain, logger, LEVEL_NAMES.get(level, "info"), fields)
    except structlog.DropEvent:
        return
    if isinstance(made, dict) and (hidden := taken_away(made)):
        copy_context().run(_log_without, hidden, logger, level, made)
        return
    _log_made(logger, level, made)


def _run(chain: Sequence[Processor], logger: logging.Logger, method: str, event: Any) -> Any:
    token = CALLER.set(calling_frame())  # else those that look for the caller find this package
    try:
        for processor in chain:
            event = processor(logger, method, event)
    finally:
        CALLER.reset(token)
    return event


def _log_without(hidden: list[str], logger: logging.Logger, level: int, made: Any) -> None:
    """Log an event from whose context a processor took *hidden* away. The caller runs this in a context of its own."""
    structlog.contextvars.unbind_contextvars(*hidden)
    _log_made(logger, level, made)


def _log_made(logger: logging.Logger, level: int, made: Any) -> None:
    """Log what processors made, as structlog hands it to a logger of stdlib's: a text, an event dict, or arguments."""
    args: tuple[Any, ...] = ()
    if isinstance(made, tuple) and len(made) == 2:
        args, made = made
    if not isinstance(made, dict):
        args, made = (made,), {}
    extra = made.get("extra")
    if not isinstance(extra, dict) and not isinstance(args[0] if args else None, Made):
        take_over(logger, level, args[0] if args else None, args[1:], made)
        return
    fields = {**made, **(extra or {})}
    fields.pop("extra", None)
    message = args[0] if args else fields.pop("msg", fields.pop("event", ""))
    if isinstance(message, dict):  # ProcessorFormatter passes over it, and error trackers want it
        fields["exc_info"] = exception_in(message)
    log_record(logger, level, message, tuple(args[1:]), fields)


def take_over(logger: logging.Logger, level: int, event: Any, args: tuple[Any, ...], fields: dict[str, Any]) -> None:
    """Log an event whose *fields* went through processors: without those that only say what each line says anyway."""
    fields = without_repeated(fields, logger.name, LEVEL_NAMES.get(level))
    if event is None:
        event = fields.pop("event", "")
    log_event(logger, level, event, tuple(fields.pop("positional_args", args)), fields)
