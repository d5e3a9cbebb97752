"""Said once: what an event of ours says, no line of a framework repeats on our output.

Access lines are left out always, other lines only where our event was printed. One that comes before that event (Django logs an
exception before its request has ended) waits for it, and is printed after it where the event was not: its level was off, a
filter dropped it, its path is excluded, or telemetry failed. So a failure's traceback always stands somewhere.

Other handlers get every line. `FRAMEWORK_LINES` prints them all, with the ids of what they are about.
"""

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import unquote
from weakref import WeakKeyDictionary

from ..context import Scope, current_scope
from ..events import CONNECTION
from .records import exception_of
from .tracebacks import note_closing, reported_ids

__all__ = [
    "WATCH",
    "Rule",
    "Subject",
    "about_exception",
    "about_scope",
    "lines_of",
    "log_closing_event",
    "note_failed_handshake",
    "note_request",
    "print_unless_said",
    "release",
    "rule_for",
]


class Subject(NamedTuple):
    """What a line of a framework is about.

    Attributes:
        said: whether an event of ours says the same.
        ids: what the line is about, where that is not bound.
        scope: the scope whose closing event will say the same, if it is still open.
    """

    said: bool
    ids: Mapping[str, Any] = {}
    scope: Scope | None = None


Rule = Callable[[logging.LogRecord], Subject | None]
PrintRecord = Callable[..., None]

# Written as modules are imported.
_rules: dict[str, Rule] = {}
#: Returns the rule for the lines of a logger, or ``None``.
rule_for = _rules.get


class _Watch(threading.local):
    """The logger of the closing event that this thread is logging, and whether the handler printed an event of it since."""

    logger: str | None = None
    printed = False


WATCH = _Watch()


def lines_of(logger: str) -> Callable[[Rule], Rule]:
    """Make the decorated function the rule for the lines of *logger*: it returns ``None`` for a line that repeats nothing."""

    def add(rule: Rule) -> Rule:
        _rules[logger] = rule
        return rule

    return add


def about_scope(scope: Scope) -> Subject:
    """Return the subject of a line that says what the closing event of *scope* says."""
    ids = {} if scope is current_scope() else scope.inside
    return Subject(scope.told, ids, None if scope.ended else scope)


def about_exception(error: object) -> Subject | None:
    """Return the subject of a line that tells of *error*, ``None`` where no closing event has told of it."""
    ids = reported_ids(error) if isinstance(error, BaseException) else None
    return None if ids is None else Subject(True, ids)


def print_unless_said(record: logging.LogRecord, rule: Rule, print_record: PrintRecord, *, wanted: bool) -> None:
    """Print *record* now, later or not at all.

    Args:
        record: a line of a framework.
        rule: tells what it is about.
        print_record: prints it, with the ids that it is given.
        wanted: print it in any case: then an exception waits for the event that prints its traceback, and nothing else does.
    """
    subject = rule(record)
    if subject is None:
        print_record(record)
    elif subject.scope is not None and (not wanted or record.exc_info):
        scope = subject.scope
        scope.waiting = (*scope.waiting, (wanted, partial(print_record, record)))
    elif wanted or not subject.said:
        print_record(record, subject.ids)


def log_closing_event(log: Any, scope: Scope, level: int, event: str, fields: dict[str, Any]) -> None:
    """Log the closing event of *scope*, and then what waited for it, where it was not printed.

    Args:
        log: the edge's logger.
        scope: the scope, which is closed.
        level: one of stdlib's.
        event: the event.
        fields: its fields; ``exc_info`` is an exception or missing.
    """
    error = fields.get("exc_info")
    if error is None and level >= logging.ERROR:
        _spare_sentry()
    before, WATCH.logger, WATCH.printed = WATCH.logger, log.name, False
    try:
        log.emit(level, event, fields)
        scope.told = WATCH.printed
    finally:
        WATCH.logger = before
        if scope.waiting:
            release(scope)
    if scope.told and isinstance(error, BaseException):
        note_closing(error, scope.own)


def _spare_sentry() -> None:
    """Have Sentry make no issue of our events that have no exception: a 503 that a view returns is none without us.

    Its breadcrumbs stay. ``ignore_logger``, by which its own integrations do it, would take them too.
    """
    get_client = getattr(sys.modules.get("sentry_sdk"), "get_client", None)
    integration = get_client and get_client().get_integration("logging")
    handler = getattr(integration, "_handler", None)
    if isinstance(handler, logging.Handler) and _is_issue not in handler.filters:
        handler.addFilter(_is_issue)


def _is_issue(record: logging.LogRecord) -> bool:
    return bool(record.exc_info) or not record.name.startswith("dtx_telemetry.")


def release(scope: Scope) -> None:
    """Print the lines that waited for the closing event of *scope*, unless that said the same. Nothing waits afterwards."""
    waiting, scope.waiting = scope.waiting, ()
    for wanted, print_record in waiting:
        if wanted or not scope.told:
            print_record()


# Servers log access lines in the thread or task of the request, when its scope has been left.
_latest_request: ContextVar[tuple[str, Mapping[str, Any]] | None] = ContextVar("dtx_telemetry_latest_request", default=None)


def note_request(scope: Scope, path: str) -> None:
    """Note the request that is served here, whose server may log an access line later."""
    _latest_request.set((path, scope.own))


# uvicorn tells of a handshake that failed in the connection's task, after the consumer's call, when its scope has been left.
# The registry is as long as there are such tasks.
_failed_handshakes: WeakKeyDictionary[asyncio.Task[Any], Mapping[str, Any]] = WeakKeyDictionary()


def note_failed_handshake(scope: Scope) -> None:
    """Note that the connection of *scope* failed before it was accepted; its server may log a line about that later."""
    if (task := _current_task()) is not None:
        _failed_handshakes[task] = scope.own


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop runs
        return None


def _access_line(path: str) -> Subject:
    """Return the subject of an access line, with the ids of the request where that was for the same *path*."""
    latest = _latest_request.get()
    if latest is None or latest[0] != unquote(path.partition("?")[0]):
        return Subject(True)
    return Subject(True, latest[1])


@lines_of("django.server")
def _runserver(record: logging.LogRecord) -> Subject | None:
    # Its other lines have no status: a broken pipe, an exception outside any request.
    if not hasattr(record, "status_code"):
        return None
    request_line = record.args[0] if isinstance(record.args, tuple) and record.args else ""
    return _access_line(str(request_line).partition(" ")[2].partition(" ")[0])


@lines_of("django.channels.server")
def _daphnes_runserver(record: logging.LogRecord) -> Subject | None:
    return _access_line(str(record.args.get("path"))) if isinstance(record.args, dict) else None


@lines_of("gunicorn.access")
def _gunicorn(record: logging.LogRecord) -> Subject | None:
    return _access_line(str(record.args.get("U"))) if isinstance(record.args, dict) else None


@lines_of("uvicorn.access")
def _uvicorn(record: logging.LogRecord) -> Subject | None:
    return _access_line(str(record.args[2])) if isinstance(record.args, tuple) and len(record.args) > 2 else None


@lines_of("hypercorn.error")
@lines_of("gunicorn.error")
@lines_of("daphne.server")
def _exception(record: logging.LogRecord) -> Subject | None:
    """Return what a server's report of an exception that left the application repeats."""
    return about_exception(exception_of(record))


# The websockets package writes them, with the logger that uvicorn gives it.
_HANDSHAKE = {"connection open", "connection rejected (%d %s)", "HTTP response sent (%d %s)"}


@lines_of("uvicorn.error")
def _uvicorns_own(record: logging.LogRecord) -> Subject | None:
    text = str(record.msg)
    if (text in _HANDSHAKE or text.startswith('%s - "WebSocket ')) and (connection := _connection()) is not None:
        return Subject(True, connection)
    return _exception(record)


def _connection() -> Mapping[str, Any] | None:
    """Return the ids of the connection whose handshake is being accepted or refused, or failed in this task."""
    scope = current_scope()
    while scope is not None and scope.kind is not CONNECTION:
        scope = scope.outer
    if scope is not None:
        return scope.own
    task = _current_task()
    return None if task is None else _failed_handshakes.get(task)
