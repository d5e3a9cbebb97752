"""Lines of frameworks and servers that may say again what an event of ours says, each with what it is about.

See `said_once` for what becomes of them. How an edge finds the scope that a line is about it tells at start-up.
"""

import asyncio
import logging
import sys
import threading
from collections import ChainMap
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote
from weakref import WeakKeyDictionary

from ..context import Scope, current_scope
from ..events import CONNECTION, POLLING_TASK, TASK
from ..guard import never_raises
from .emit import switch_off_where_unheard
from .line import span_ids
from .logger import get_logger, is_printed_at_once
from .records import exception_of
from .said_once import Subject, about_exception, about_scope, lines_of

__all__ = ["find_scopes_by", "note_failed_handshake", "note_request", "spare_sentry", "spare_unheard_lines"]

_finders: dict[str, Callable[[Any], Any]] = {}


def find_scopes_by(logger: str, find: Callable[[Any], Any]) -> None:
    """Let the rule for the lines of *logger* find scopes by *find*, from start-up on.

    Args:
        logger: ``django.request``: *find* returns what observes a request, with its ``scope`` and ``status``, or ``None``.
            ``django.tasks``: it returns the scope of a task by its id, or ``None``.
        find: asked for each line.
    """
    _finders[logger] = find


# Servers log access lines in the thread or task of the request, when its scope has been left. A context variable would be
# found there too, but would stay set in whatever context the server goes on in.
_Served = tuple[str, Mapping[str, Any]]
_served_by_task: WeakKeyDictionary[asyncio.Task[Any], _Served] = WeakKeyDictionary()


class _ServedByThread(threading.local):
    latest: _Served | None = None


_served_by_thread = _ServedByThread()


def note_request(scope: Scope, path: str) -> None:
    """Note the request that is being served, whose server may log an access line later."""
    served = path, ChainMap(dict(span_ids()), scope.own)  # the user may become known later
    if (task := _current_task()) is not None:
        _served_by_task[task] = served
    else:
        _served_by_thread.latest = served


# uvicorn tells of a handshake that failed in the connection's task, after the consumer's call, when its scope has been left.
# The registry is as long as there are such tasks.
_failed_handshakes: WeakKeyDictionary[asyncio.Task[Any], Mapping[str, Any]] = WeakKeyDictionary()


def note_failed_handshake(scope: Scope) -> None:
    """Note that the connection of *scope* failed before it was accepted. Its server may log a line about that later."""
    if (task := _current_task()) is not None:
        _failed_handshakes[task] = {**scope.own, **span_ids()}


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop runs
        return None


def _access_line(path: str) -> Subject:
    """Return the subject of an access line, with the ids of the request if that was for the same *path*."""
    task = _current_task()
    latest = _served_by_thread.latest if task is None else _served_by_task.get(task)
    if latest is None or latest[0] != unquote(path.partition("?")[0]):
        return Subject(True)
    return Subject(True, latest[1])


# -- Django --


@lines_of("django.request")
def _about_response(record: logging.LogRecord) -> Subject | None:
    """Return what Django's line about a response repeats: how its request ended.

    It says more if it comes after the closing event with another status or an exception that no event has printed: then a
    middleware outside of ours, or the server's side of Django, has failed.
    """
    find, status = _finders.get("django.request"), record.__dict__.get("status_code")
    served = None if find is None or status is None else find(record.__dict__.get("request"))
    if served is None:
        return None
    subject, error = about_scope(served.scope), exception_of(record)
    is_news = status != served.status or (error is not None and about_exception(error) is None)
    return subject._replace(said=False) if served.scope.ended and is_news else subject


@lines_of("django.tasks")
def _about_state(record: logging.LogRecord) -> Subject | None:
    """Return what Django's line about the state of a task repeats: enqueued, running, successful or failed."""
    find = _finders.get("django.tasks")
    if find is None or not isinstance(record.args, tuple) or len(record.args) != 3:
        return None
    task_id, name, state = record.args
    if state in ("SUCCESSFUL", "FAILED"):
        scope = find(task_id)
        return None if scope is None else about_scope(scope)
    return Subject(True, {"task.id": task_id, "task.name": name})


# -- Celery --


def spare_unheard_lines() -> None:
    """Keep Celery from making records that are left out here and that no other handler gets.

    A worker asks once whether anybody gets "received", as its consumer starts: a handler that is added later gets it from the
    consumer's next start on, as a level that is changed later works from then on.
    """
    switch_off_where_unheard("celery.worker.strategy", logging.INFO, lambda: True)
    switch_off_where_unheard("celery.app.trace", logging.INFO, _will_be_said)


@never_raises
def _will_be_said() -> bool:
    """Return True if Celery, which is about to say how an execution ended, is in one whose closing event says or said so."""
    scope = _execution_around()
    if scope is None:
        return False
    if scope.ended:
        return scope.told or scope.own["task.name"] == POLLING_TASK
    return is_printed_at_once(get_logger(TASK.logger), logging.INFO)


@lines_of("celery.worker.strategy")
def _about_received(record: logging.LogRecord) -> Subject | None:
    """Return what "received" repeats: a task that was received starts, or has its event as revoked, rejected or unknown."""
    data = _data(record)
    return None if data is None else Subject(True, {"task.id": data.get("id"), "task.name": data.get("name")})


@lines_of("celery.app.trace")
def _about_execution(record: logging.LogRecord) -> Subject | None:
    """Return what a line about the end of an execution repeats. Celery logs it inside that execution."""
    data, scope = _data(record), _execution_around()
    if data is None or data.get("internal") or scope is None or scope.own["task.id"] != data.get("id"):
        return None
    if record.levelno < logging.ERROR and scope.own["task.name"] == POLLING_TASK:
        return Subject(True)  # our event said so at debug, and mostly was not printed
    return about_scope(scope)


# Celery sends ``task_revoked`` right after it.
_DISCARDED = "Discarding revoked task: %s[%s]"


@lines_of("celery.worker.request")
def _about_unrun(record: logging.LogRecord) -> Subject | None:
    """Return what the worker, in no scope, repeats of a task that it discards as revoked, or whose process it lost."""
    if not isinstance(record.args, tuple) or not record.args:
        return None
    if record.msg == _DISCARDED:  # with more text it tells which header was revoked
        return Subject(True, dict(zip(("task.name", "task.id"), record.args, strict=True)))
    return about_exception(record.args[0])


def _execution_around() -> Scope | None:
    """Return the scope of the execution that is being traced, ``None`` if there is none.

    The task may have left something open in it: an operation, or a block of `bind_fields`.
    """
    scope = current_scope()
    while scope is not None and scope.kind is not TASK:
        scope = scope.outer
    return scope


def _data(record: logging.LogRecord) -> dict[str, Any] | None:
    """Return what Celery gives handlers to know a task by, or ``None`` on its other lines."""
    data = record.__dict__.get("data")
    return data if isinstance(data, dict) and "id" in data else None


# -- servers --


@lines_of("django.server")
def _runserver(record: logging.LogRecord) -> Subject | None:
    # Its other lines have no status: a broken pipe, an exception outside any request.
    if not hasattr(record, "status_code"):
        return None
    request_line = record.args[0] if isinstance(record.args, tuple) and record.args else ""
    return _access_line(str(request_line).partition(" ")[2].partition(" ")[0])


@lines_of("granian.access")
@lines_of("django.channels.server")
def _by_path(record: logging.LogRecord) -> Subject | None:
    return _access_line(str(record.args.get("path"))) if isinstance(record.args, dict) else None


@lines_of("hypercorn.access")
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


# -- Sentry, which makes issues of records --


def spare_sentry() -> None:
    """Have Sentry make no issue of our events that have no exception: without us a 503 that a view returns makes none.

    Its breadcrumbs stay. ``ignore_logger``, by which its own integrations do it, would take them too.
    """
    get_client = getattr(sys.modules.get("sentry_sdk"), "get_client", None)
    integration = get_client and get_client().get_integration("logging")
    handler = getattr(integration, "_handler", None)
    if isinstance(handler, logging.Handler) and _is_issue not in handler.filters:
        handler.addFilter(_is_issue)


def _is_issue(record: logging.LogRecord) -> bool:
    return bool(record.exc_info) or not record.name.startswith("dtx_telemetry.")
