"""structlog's processors: those of the application run, and our handler renders.

An application that configures structlog, before us or after, keeps its processors (those that mask or drop something, name the
caller or capture events for tests), its wrapper class and its context class. Left out is what our handler does itself:
rendering, the timestamp, exceptions and stacks.
"""

import logging
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any

import structlog
from structlog import dev, processors, stdlib

from ..context import bound
from .callsite import CALLER, calling_frame
from .events import log_event
from .lines import LEVEL_NAMES
from .state import STATE

# Asked at each event: the public get_config() makes a dict of all that it holds.
_CONFIGURATION = structlog._config._CONFIG

__all__ = ["configured_processors", "log_processed", "take_over", "without_rendering"]

_RENDERING_FUNCTIONS = (
    stdlib.ProcessorFormatter.wrap_for_formatter,
    getattr(stdlib, "render_to_log_args_and_kwargs", None),  # newer than the oldest structlog that we support
    stdlib.render_to_log_kwargs,
)
_RENDERING_CLASSES = (
    dev.ConsoleRenderer,
    processors.EventRenamer,
    processors.ExceptionPrettyPrinter,
    processors.ExceptionRenderer,
    processors.JSONRenderer,
    processors.KeyValueRenderer,
    processors.LogfmtRenderer,
    processors.StackInfoRenderer,
    processors.UnicodeEncoder,
)
_STAMPERS = (processors.MaybeTimeStamper, processors.TimeStamper)
Processor = Callable[[Any, str, Any], Any]


def configured_processors() -> Sequence[Processor]:
    """Return the processors of structlog's configuration of now; none where nobody configured it."""
    return _CONFIGURATION.default_processors if _CONFIGURATION.is_configured else ()  # type: ignore[return-value]


def without_rendering(chain: Sequence[Processor]) -> list[Processor]:
    """Return *chain* without what our handler does itself."""
    return [_careful(processor) for processor in chain if not _renders(processor)]


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
        event["positional_args"] = tuple([STATE.sanitizer.without_secrets(arg) for arg in args])
        try:
            return super().__call__(logger, method, {**event})
        except Exception:
            return event


def _renders(processor: Processor) -> bool:
    if isinstance(processor, _STAMPERS):
        stamper = getattr(processor, "stamper", processor)
        return getattr(stamper, "key", None) == "timestamp"
    return isinstance(processor, _RENDERING_CLASSES) or processor in _RENDERING_FUNCTIONS


def log_processed(
    chain: Sequence[Processor],
    logger: logging.Logger,
    level: int,
    event: Any,
    args: tuple[Any, ...],
    fields: dict[str, Any],
) -> None:
    """Run *chain* on an event as structlog does, and log what it makes of it; see `log_event`."""
    if event is not None:
        fields = {**fields, "event": event}
    if args:
        fields["positional_args"] = args
    chain = without_rendering(chain)
    try:
        made = _run(chain, logger, LEVEL_NAMES.get(level, "info"), fields)
    except structlog.DropEvent:
        return
    if structlog.contextvars.merge_contextvars in chain and isinstance(made, dict):
        hidden = [key for key in bound() if key not in made]
        if hidden:
            copy_context().run(_log_without, hidden, logger, level, made)
            return
    log_made(logger, level, made)


def _run(chain: Sequence[Processor], logger: logging.Logger, method: str, event: Any) -> Any:
    token = CALLER.set(calling_frame())  # else those that look for the caller find this package
    try:
        for processor in chain:
            event = processor(logger, method, event)
    finally:
        CALLER.reset(token)
    return event


def _log_without(hidden: list[str], logger: logging.Logger, level: int, made: Any) -> None:
    """Log an event from whose context a processor took *hidden* away; the caller runs this in a context of its own."""
    structlog.contextvars.unbind_contextvars(*hidden)
    log_made(logger, level, made)


def log_made(logger: logging.Logger, level: int, made: Any) -> None:
    """Log what processors made: an event dict, a text, or positional and named arguments."""
    args: tuple[Any, ...] = ()
    if isinstance(made, tuple) and len(made) == 2:
        args, made = made
    if not isinstance(made, dict):
        made = {"event": made}
    take_over(logger, level, args[0] if args else None, args[1:], made)


def take_over(logger: logging.Logger, level: int, event: Any, args: tuple[Any, ...], fields: dict[str, Any]) -> None:
    """Log an event whose *fields* went through processors: without those that only say what each line says anyway."""
    fields = dict(fields)
    if fields.get("level") == LEVEL_NAMES.get(level):
        fields.pop("level", None)
    if fields.get("logger") == logger.name:
        del fields["logger"]
    if event is None:
        event = fields.pop("event", "")
    log_event(logger, level, event, tuple(fields.pop("positional_args", args)), fields)
