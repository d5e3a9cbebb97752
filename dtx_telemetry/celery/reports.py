"""What the worker's main process says about tasks that ended without their scope: lost, killed, revoked, refused.

These are lines about another process's work, so each is logged in a scope of its own, from what the message carried: with
OpenTelemetry on, in its publisher's trace.
"""

import logging
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

from celery.app.task import Context

from .. import context
from ..config import get_settings
from ..errors import error_text
from ..events import TASK_REPORT
from ..guard import signal_receiver
from ..logging import log_closing_event
from ..tracing import TRACING
from .closing import AnyTask, failure, log, retry_fields
from .headers import OurHeaders, read_headers, restored_fields

__all__ = ["failed", "headers_of_lost_task", "rejected", "remember", "retried", "revoked", "unknown"]

# The library's only registry. A hard time limit reports a task by its id alone, after Celery has forgotten the request; so the
# worker's request is found again here. Held weakly: an entry lives exactly as long as Celery itself holds the request.
_received: WeakValueDictionary[str, Any] = WeakValueDictionary()
_TOLD = "_dtx_told"


@signal_receiver
def remember(request: Any) -> None:
    """Note a request of the worker; a receiver of ``task_received``."""
    if get_settings().enabled:
        _received[request.id] = request


def headers_of_lost_task(task_id: Any) -> OurHeaders:
    """Return what the message of a task carried that the worker holds, or of a task in the header of the chord with that body.

    The worker publishes error callbacks of a task that it lost, and those name no more than that task or that body.
    """
    received = _received.get(task_id) if isinstance(task_id, str) else None
    if received is None and task_id is not None:
        received = next((request for request in list(_received.values()) if _body_id(request) == task_id), None)
    return read_headers(None if received is None else received._context)


def failed(task: AnyTask, task_id: str | None, error: Any) -> None:
    """Log ``task_failed`` for a task that the pool lost or killed, once although Celery may report it twice."""
    request = _request_of(task, task_id)
    if _first(request):
        level, fields = failure(task, error)
        _log(level, "task_failed", task, request, task_id, fields)


def retried(task: AnyTask, request: Context | None, reason: Any) -> None:
    """Log ``task_retried`` for a task that the worker itself publishes again."""
    if _first(request):
        _log(logging.WARNING, "task_retried", task, request, getattr(request, "id", None), retry_fields(request, reason))


@signal_receiver
def revoked(sender: Any, request: Any, terminated: Any, expired: Any) -> None:
    """Log ``task_revoked``: before its start, by its expiry, or with ``terminate``; a receiver of that signal."""
    if get_settings().enabled and _first(request):
        _log(logging.WARNING, "task_revoked", sender, request, getattr(request, "id", None), {})
        if not terminated:  # one that was running is measured where it ran
            _measure(getattr(sender, "name", None), "expired" if expired else "revoked")


@signal_receiver
def rejected(message: Any, exc: Any) -> None:
    """Log ``task_rejected`` for a message that no task can be made of; a receiver of that signal."""
    if get_settings().enabled:
        headers = _headers(message)
        fields = {} if exc is None else {"error": error_text(exc)}
        _log(logging.WARNING, "task_rejected", headers.get("task"), headers, headers.get("id"), fields)
        _measure(headers.get("task"), "rejected")


@signal_receiver
def unknown(message: Any, name: Any, id: Any) -> None:
    """Log ``task_unknown`` for a task that the worker does not have; a receiver of that signal."""
    if get_settings().enabled:
        _log(logging.ERROR, "task_unknown", name, _headers(message), id, {})
        _measure(None, "unknown")  # there is no end to the names that a message may bring


def _request_of(task: AnyTask, task_id: str | None) -> Context | None:
    """Return the task's request as the worker knows it: on top of the task's stack if Celery put it there, or held here."""
    current = task.request
    if current.id == task_id:
        return current
    received = _received.get(task_id) if isinstance(task_id, str) else None
    return None if received is None else received._context


def _body_id(request: Any) -> Any:
    chord = request.chord
    return (chord.get("options") or {}).get("task_id") if isinstance(chord, Mapping) else None


def _first(request: Any) -> bool:
    """Whether *request* had no closing event yet, which it then has."""
    state = getattr(request, "__dict__", None)
    if state is None:
        return True
    first = not state.get(_TOLD)
    state[_TOLD] = True
    return first


def _headers(message: Any) -> Mapping[str, Any]:
    headers = getattr(message, "headers", None)
    return headers if isinstance(headers, Mapping) else {}


def _log(level: int, event: str, task: Any, request: Any, task_id: Any, fields: dict[str, Any]) -> None:
    settings = get_settings()
    name = task if isinstance(task, str) else getattr(task, "name", None)
    about = {key: value for key, value in (("task.id", task_id), ("task.name", name)) if isinstance(value, str)}
    scope = context.enter_root(
        TASK_REPORT, {**restored_fields(task, read_headers(request), request, task_id), **about}, own=settings.own_keys
    )
    if TRACING.on is not None:
        carrier = Context(dict(request)) if isinstance(request, Mapping) else request
        scope.span = TRACING.on.tasks.in_publishers_trace(carrier)
    try:
        scope.close()
        log_closing_event(log, scope, level, event, fields)
    finally:
        scope.leave()


def _measure(name: object, outcome: str) -> None:
    """Count a task that ended before it ran."""
    if TRACING.on is not None:
        TRACING.on.tasks.never_ran(name if isinstance(name, str) else None, outcome)
