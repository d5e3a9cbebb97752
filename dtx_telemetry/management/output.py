"""What lines, queries and signals go to: loggers and their handlers, databases that count, collectors of OpenTelemetry."""

import logging
from collections.abc import Iterator

from django.db import connections

from ..checks.console import check_celery_logging, check_console_handlers, check_formats, check_silent_loggers
from ..checks.database import check_prepared_statements
from ..checks.idle_variables import check_idle_variables
from ..config import get_settings
from ..errors import error_text
from ..logging import is_configured
from ..logging.console import ConsoleHandler
from .early import look_at_early_lines
from .report import Finding, noted, told_by, works, wrong

__all__ = ["look_at_databases", "look_at_logging", "look_at_opentelemetry"]


def look_at_logging() -> Iterator[Finding]:
    """List the loggers that have handlers, and tell what is printed twice, elsewhere or nowhere."""
    yield from told_by(check_console_handlers)
    yield from told_by(check_formats)
    yield from told_by(check_celery_logging)
    yield from told_by(check_silent_loggers)
    yield from look_at_early_lines()
    root = logging.getLogger()
    named = {name: logger for name, logger in root.manager.loggerDict.items() if isinstance(logger, logging.Logger)}
    for name, logger in [("root", root), *sorted(named.items())]:
        if any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers):
            yield _about(name, logger)
    if not is_configured():
        yield wrong(
            "the log pipeline is not set up: lines are in the application's own format.",
            "Put 'dtx_telemetry' into INSTALLED_APPS.",
        )


def _about(name: str, logger: logging.Logger) -> Finding:
    handlers = [_description(handler) for handler in logger.handlers]
    level = logging.getLevelName(logger.level) if logger.level else "no level of its own"
    rest = "" if logger.propagate else ", no propagate"
    state = ", disabled" if logger.disabled else ""
    return noted(f"{name}: {level}{rest}{state}, {'; '.join(handlers)}", logger=name, level=level, handlers=handlers)


def _description(handler: logging.Handler) -> str:
    level = f" from {logging.getLevelName(handler.level)}" if handler.level else ""
    if isinstance(handler, ConsoleHandler) and handler.prints_lines:
        return f"ours{level} to {handler.printer.goes_to}"
    kind = type(handler)
    target = getattr(handler, "baseFilename", None) or getattr(getattr(handler, "stream", None), "name", None)
    return f"{kind.__module__}.{kind.__qualname__}{level}{f' to {target}' if isinstance(target, str) else ''}"


def look_at_databases() -> Iterator[Finding]:
    """Connect to each database, and see that its queries are counted."""
    yield from told_by(check_prepared_statements)
    wanted = get_settings().db_queries
    for alias in connections:
        connection = connections[alias]
        if not connection.settings_dict.get("NAME") or connection.vendor == "unknown":
            continue
        try:
            connection.ensure_connection()
        except Exception as error:
            hint = f"Is it up, and is DATABASES[{alias!r}] right?"
            yield wrong(f"{alias} ({connection.vendor}): no connection: {error_text(error)}", hint, database=alias)
            continue
        facts = {"database": alias, "vendor": connection.vendor}
        if any(_is_ours(wrapper) for wrapper in connection.execute_wrappers):
            yield works(f"{alias} ({connection.vendor}): its queries are counted, DB_QUERIES={wanted}", **facts)
        elif wanted == "off":
            yield noted(f"{alias} ({connection.vendor}): its queries are not counted, as DB_QUERIES=off says", **facts)
        else:
            yield wrong(f"{alias} ({connection.vendor}): its queries are not counted, though DB_QUERIES={wanted}", **facts)


def _is_ours(wrapper: object) -> bool:
    return str(getattr(wrapper, "__module__", "")).startswith("dtx_telemetry.")


def look_at_opentelemetry(seconds: float) -> Iterator[Finding]:
    """Send one record of each kind to the collectors that the environment names, and tell what they answer.

    Args:
        seconds: how long one exporter may take.
    """
    yield from told_by(check_idle_variables)
    if not get_settings().otel_enabled:
        yield noted("off: OTEL_ENABLED is false")
        return
    from ..tracing import TRACING

    if TRACING.on is None:
        yield noted("off: OTEL_SDK_DISABLED is true")
        return
    from ..tracing.sdk.trial import try_exporters

    for answer in try_exporters(seconds):
        facts = {"signal": answer.signal, "address": answer.address, "answer": answer.said}
        if answer.accepted is None:
            yield noted(f"{answer.signal}: {answer.address}, which sends to no collector", **facts)
        elif answer.accepted:
            yield works(f"{answer.signal}: {answer.address} took a trial record", **facts)
        else:
            said = f"{answer.signal}: {answer.address} refused a trial record: {answer.said}"
            yield wrong(said, answer.hint, **facts)
