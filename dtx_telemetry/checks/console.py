"""Checks of ``LOGGING`` and of Celery's settings: which lines would come twice, or not at all."""

import logging
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

from ..config import get_settings
from ..logging import every_logger, is_configured, prints_own_events

__all__ = ["check_celery_logging", "check_console_handlers", "check_formats", "check_silent_loggers"]

_STREAMS = frozenset({"ext://sys.stdout", "ext://sys.stderr"})
_DEVICES = frozenset(
    {"/dev/stdout", "/dev/stderr"} | {f"/{where}/fd/{fd}" for where in ("dev", "proc/1", "proc/self") for fd in "12"}
)
#: What a format of a project's own has that wants our ids.
_OURS_IN_FORMATS = "%(request.id)"
_QUERIES = "dtx_telemetry.database"
_HIJACKING = ("WORKER_HIJACK_ROOT_LOGGER", "CELERYD_HIJACK_ROOT_LOGGER")


def check_console_handlers() -> Iterator[checks.CheckMessage]:
    """Yield W007 for handlers of ``LOGGING`` that print to the console besides ours."""
    if not get_settings().enabled or not settings.LOGGING_CONFIG or not isinstance(settings.LOGGING, Mapping):
        return  # another LOGGING_CONFIG than Django's may take anything, the path of a file for instance
    handlers = settings.LOGGING.get("handlers", {})
    kinds = {name: _kind_of(spec) for name, spec in handlers.items() if isinstance(spec, Mapping)}
    for logger, names in _loggers_with_handlers():
        for name in names:
            if kinds.get(name) == "printing":
                yield _prints_beside_us(logger, name)
            elif printing := [behind for behind in _behind(name, handlers) if kinds.get(behind)]:
                yield _hands_on_to_console(logger, name, printing[0])


def check_formats() -> Iterator[checks.CheckMessage]:
    """Yield W007 for handlers whose format has our ids, and that have no filter which puts them on the record."""
    if not get_settings().enabled or not settings.LOGGING_CONFIG or not isinstance(settings.LOGGING, Mapping):
        return
    formatters, filters, handlers = (settings.LOGGING.get(part) or {} for part in ("formatters", "filters", "handlers"))
    for name, spec in handlers.items() if isinstance(handlers, Mapping) else ():
        if not isinstance(spec, Mapping) or _kind_of(spec) == "console":  # whose lines are ours
            continue
        form = formatters.get(spec.get("formatter"))
        if not isinstance(form, Mapping) or "defaults" in form:
            continue
        # Any filter of somebody's own may do it too.
        if _OURS_IN_FORMATS in str(form.get("format", form.get("fmt"))) and not any(
            not isinstance(given := filters.get(each, each), Mapping) or "()" in given for each in spec.get("filters") or ()
        ):
            yield checks.Warning(
                f"The format of the handler {name!r} has {_OURS_IN_FORMATS}, which no filter puts on its records: "
                "it prints an error in place of each line.",
                hint='Add "context": {"()": "dtx_telemetry.ContextFilter"} to LOGGING["filters"], and '
                f'"filters": ["context"] to LOGGING["handlers"][{name!r}].',
                id="dtx_telemetry.W007",
            )


def check_celery_logging() -> Iterator[checks.CheckMessage]:
    """Yield W007 for what tells Celery to leave logging to the application, whose logging we set up already."""
    if not get_settings().enabled:
        return
    for name in sorted(set(dir(settings))):
        if name.endswith(_HIJACKING) and getattr(settings, name) is False:
            yield checks.Warning(
                f"{name} = False has no effect: dtx_telemetry sets up the logging of Celery's processes.",
                hint=f"Keep {name} if you want it to hold when TELEMETRY_ENABLED is false, and silence this check. "
                "To have Celery print its own way set TELEMETRY_ENABLED=false.",
                id="dtx_telemetry.W007",
            )
    signals = sys.modules.get("celery.signals")
    if signals is not None and len(signals.setup_logging.receivers or ()) > 1:
        yield checks.Warning(
            "Another receiver of Celery's signal setup_logging configures logging over ours: a worker's lines come twice, "
            "or not at all.",
            hint="Remove the function with @setup_logging.connect: handlers of LOGGING are in place without it.",
            id="dtx_telemetry.W007",
        )


def check_silent_loggers() -> Iterator[checks.CheckMessage]:
    """Yield W007 for loggers that ``LOGGING`` has disabled, and for events of ours that are printed nowhere."""
    found = get_settings()
    if not found.enabled:
        return
    given = settings.LOGGING if isinstance(settings.LOGGING, Mapping) else {}
    disabled = sorted(logger.name for logger in every_logger() if logger.disabled)
    if given and given.get("disable_existing_loggers", True) and not given.get("incremental") and disabled:
        names = ", ".join(disabled[:3]) + (f" and {len(disabled) - 3} more" if len(disabled) > 3 else "")
        yield checks.Warning(
            f"LOGGING disables the loggers that exist when it is applied: nothing that {names} log is printed anywhere.",
            hint="Set LOGGING['disable_existing_loggers'] = False. Without that key it is True.",
            id="dtx_telemetry.W007",
        )
    asked = found.log_level is not None or "dtx_telemetry" in found.log_levels
    if is_configured() and not asked and not prints_own_events():
        yield checks.Warning(
            "The library's own events (request_completed, task_completed) are printed nowhere: the console handler of LOGGING, "
            "or its logger 'dtx_telemetry', has a level above INFO.",
            hint="Set LOG_LEVEL=INFO, or give the console handler of LOGGING the level INFO.",
            id="dtx_telemetry.W007",
        )
    if found.db_queries == "lines" and not logging.getLogger(_QUERIES).isEnabledFor(logging.DEBUG):
        yield checks.Warning(
            "DB_QUERIES=lines logs each query at the level DEBUG, which is printed nowhere.",
            hint=f"Set LOG_LEVELS={_QUERIES}=DEBUG too.",
            id="dtx_telemetry.W007",
        )


def _loggers_with_handlers() -> Iterator[tuple[str, list[str]]]:
    """Yield the name (empty for the root logger) and the handlers of each logger that ``LOGGING`` configures."""
    for name, spec in [("root", settings.LOGGING.get("root")), *settings.LOGGING.get("loggers", {}).items()]:
        if isinstance(spec, Mapping):
            yield "" if name == "root" else name, list(spec.get("handlers") or ())


def _behind(name: str, handlers: Mapping[str, Any]) -> list[str]:
    """Return the names of the handlers that *name* (a queue, a buffer) hands its lines on to, also by way of another."""
    found = [name]
    for sender in found:  # which grows
        if isinstance(spec := handlers.get(sender), Mapping):
            found += [target for target in _targets(spec) if target not in found]
    return found[1:]


def _targets(spec: Mapping[str, Any]) -> list[str]:
    listed = spec.get("handlers")
    names = [spec.get("target"), *(listed if isinstance(listed, list | tuple) else ())]
    return [name.removeprefix("cfg://handlers.") for name in names if isinstance(name, str)]


def _kind_of(spec: Mapping[str, Any]) -> str:
    """Return ``console`` for what ours replaces, ``printing`` for what prints to the console and stays, else nothing."""
    kind = _resolved(spec.get("()", spec.get("class")))
    if not isinstance(kind, type):
        return ""
    if issubclass(kind, logging.FileHandler):
        return "printing" if str(spec.get("filename")) in _DEVICES else ""
    if issubclass(kind, logging.StreamHandler):
        stream = spec.get("stream", spec.get("strm"))
        return "console" if stream is None or stream in _STREAMS or stream in (sys.stdout, sys.stderr) else ""
    return "printing" if any(base.__module__.startswith("rich.") for base in kind.__mro__) else ""


def _resolved(kind: Any) -> Any:
    try:
        return import_string(kind) if isinstance(kind, str) else kind
    except ImportError:  # logging.config says so itself
        return None


def _place(logger: str) -> str:
    return f"LOGGING['loggers'][{logger!r}]" if logger else "LOGGING['root']"


def _hands_on_to_console(logger: str, handler: str, behind: str) -> checks.Warning:
    return checks.Warning(
        f"The handler {handler!r} of {_place(logger)} hands its lines on to {behind!r}, which prints to the console as well: "
        "they come twice.",
        hint=f"Let {handler!r} hand its lines on to others than {behind!r}. For readable lines set LOG_FORMAT=pretty.",
        id="dtx_telemetry.W007",
    )


def _prints_beside_us(logger: str, handler: str) -> checks.Warning:
    place = _place(logger)
    return checks.Warning(
        f"The handler {handler!r} of {place} prints to the console as well: its lines come twice.",
        hint=f"Remove {handler!r} from {place}['handlers']. For readable lines set LOG_FORMAT=pretty.",
        id="dtx_telemetry.W007",
    )
