"""What the worker's main process says about tasks that ended without their scope: lost, killed, revoked, refused, interrupted.

These are lines about another process's work, so each is logged in a scope of its own, caused by the publisher's.
"""

import signal
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakValueDictionary

from celery.app.task import Context
from celery.utils import log as celery_log

from .. import context
from ..config import get_settings
from ..context import Scope
from ..errors import error_text
from ..events import CONTEXT_NOT_RESTORED_WHOLE, TASK_REJECTED, TASK_REPORT, TASK_REVOKED, TASK_UNKNOWN
from ..guard import signal_receiver
from ..logging import note_closing
from .closing import AnyTask, end_failed, end_retried, log
from .headers import OurHeaders, read_headers, restore

__all__ = [
    "cancelled",
    "end_interrupted",
    "failed",
    "headers_of_lost_task",
    "interrupted",
    "rejected",
    "remember",
    "retried",
    "revoked",
    "told_by_child",
    "unknown",
]

# Two registries, held weakly: an entry lives exactly as long as Celery itself holds the request.
#: The worker's requests by task id. A hard time limit reports a task by its id alone, after Celery has forgotten the request.
_received: WeakValueDictionary[str, Any] = WeakValueDictionary()
#: The requests that had their closing event, by `id`: Celery may report a task twice.
_told: WeakValueDictionary[int, Any] = WeakValueDictionary()
_INTERRUPTED = "interrupted by the worker's shutdown"
#: Of these a process of the prefork pool ignores the first, and raises ``SoftTimeLimitExceeded`` in the task at the second.
_OUTLIVED = frozenset({signal.SIGINT, getattr(signal, "SIGUSR1", signal.SIGINT)})


@signal_receiver
def remember(request: Any) -> None:
    """Note a request of the worker. A receiver of ``task_received``."""
    if get_settings().enabled:
        _received[request.id] = request


def headers_of_lost_task(task_id: object) -> OurHeaders:
    """Return what the message of a task carried that the worker holds, or of a task in the header of the chord with that body.

    The worker publishes error callbacks of a task that it lost, and those name no more than that task or that body.
    """
    request = _request_in_worker(task_id)
    if request is None and task_id is not None:
        request = next((each._context for each in list(_received.values()) if _body_id(each) == task_id), None)
    return read_headers(request)


def failed(task: AnyTask, task_id: str | None, error: object) -> None:
    """Log ``task_failed`` for a task that the pool lost or killed."""
    request = _request_of(task, task_id)
    if _is_first(request):
        with _report(task, request, task_id) as scope:
            end_failed(scope, task, error)


def told_by_child(task: AnyTask, task_id: str | None, error: Exception) -> None:
    """Note a failure that the child of the pool has logged, so that Celery's line about it is known to repeat that."""
    request = _request_of(task, task_id)
    if _is_first(request):
        note_closing(error, {"request.id": read_headers(request).request_id, "task.id": task_id, "task.name": task.name})


def retried(task: AnyTask, request: Context | None, reason: object) -> None:
    """Log ``task_retried`` for a task that the worker itself publishes again."""
    if _is_first(request):
        with _report(task, request, getattr(request, "id", None)) as scope:
            end_retried(scope, task, request, reason)


def cancelled(task: AnyTask, request: Context | None) -> None:
    """Log the end of a task that was running as the worker cancelled it, since it shuts down or lost its broker.

    Celery calls it a retry. Only a task that is acknowledged late will be delivered again.
    """
    if _is_first(request):
        with _report(task, request, getattr(request, "id", None)) as scope:
            _end_cancelled(scope, task, request, _INTERRUPTED if _is_shutting_down() else "cancelled by Celery")


def end_interrupted(scope: Scope, task: AnyTask) -> None:
    """End *scope*, an execution in a greenlet that the worker killed, if it did so as it shuts down. Else it will tell.

    The worker's signal handler may have run in that greenlet, and been ended with it.
    """
    request = _request_in_worker(scope.own["task.id"])
    if _is_shutting_down() and _is_first(request):
        _end_cancelled(scope, task, request, _INTERRUPTED)


@signal_receiver
def interrupted() -> None:
    """Log the end of the tasks that the worker's shutdown has cancelled without a word. A receiver of its two signals.

    A task whose result came all the same was acknowledged meanwhile.
    """
    if get_settings().enabled:
        for request in list(_received.values()):
            if request._already_cancelled and not request.acknowledged:
                cancelled(request.task, request._context)


@signal_receiver
def revoked(sender: Any, request: Any, expired: Any, signum: Any) -> None:
    """Log ``task_revoked``: before its start, by its expiry, or with ``terminate``. A receiver of that signal.

    Not if the process that runs the task outlives the signal: the execution goes on, and tells its end there.
    """
    if get_settings().enabled and not _goes_on(request, signum) and _is_first(request):
        with _report(sender, request, getattr(request, "id", None)) as scope:
            scope.end(TASK_REVOKED, outcome="expired" if expired else None)


@signal_receiver
def rejected(message: object, exc: object) -> None:
    """Log ``task_rejected`` for a message that no task can be made of. A receiver of that signal."""
    if get_settings().enabled:
        headers = _headers(message)
        with _report(headers.get("task"), headers, headers.get("id")) as scope:
            scope.end(TASK_REJECTED, {} if exc is None else {"error": error_text(exc)})


@signal_receiver
def unknown(message: object, name: object, id: object) -> None:
    """Log ``task_unknown`` for a task that the worker does not have. A receiver of that signal."""
    if get_settings().enabled:
        with _report(name, _headers(message), id) as scope:
            scope.end(TASK_UNKNOWN)


@contextmanager
def _report(task: Any, request: Any, task_id: Any) -> Generator[Scope]:
    """Enter the scope of one report for a block: what the task's message carried is bound.

    Args:
        task: the task, or its name as the message has it.
        request: its request, or the headers of a message that never became one.
        task_id: its id.
    """
    name = task if isinstance(task, str) else getattr(task, "name", None)
    about = {key: value for key, value in (("task.id", task_id), ("task.name", name)) if isinstance(value, str)}
    fields, problems = restore(task, read_headers(request), request, task_id)
    scope = context.enter_root(TASK_REPORT, {**fields, **about}, own=get_settings().own_keys, about=request)
    try:
        if problems:
            log.warning(CONTEXT_NOT_RESTORED_WHOLE.name, fields=problems)
        yield scope
    finally:
        scope.leave()


def _end_cancelled(scope: Scope, task: AnyTask, request: Context | None, why: str) -> None:
    if getattr(task, "acks_late", False):
        end_retried(scope, task, request, why)
    else:
        end_failed(scope, task, why)


def _goes_on(request: object, signum: object) -> bool:
    """Return True if *request* goes on in a process of the prefork pool that was sent *signum*. Greenlets are killed by any."""
    if not isinstance(signum, int) or signum not in _OUTLIVED:
        return False
    received = _received.get(str(getattr(request, "id", None)))
    result = getattr(received, "_apply_result", None)
    return type(result and result()).__module__ == "billiard.pool"


def _is_shutting_down() -> bool:
    """Return True if the worker has been told to stop at once, whether its signal handler is still at work or not."""
    state = sys.modules.get("celery.worker.state")
    stops: object = getattr(state, "should_terminate", None)
    return celery_log._in_sighandler or (stops is not None and stops is not False)  # type: ignore[attr-defined]


def _request_of(task: AnyTask, task_id: str | None) -> Context | None:
    """Return the task's request as the worker knows it: on top of the task's stack if Celery put it there, or held here."""
    current = task.request
    return current if current.id == task_id else _request_in_worker(task_id)


def _request_in_worker(task_id: object) -> Context | None:
    received = _received.get(task_id) if isinstance(task_id, str) else None
    return None if received is None else received._context


def _body_id(request: Any) -> Any:
    chord = request.chord
    return (chord.get("options") or {}).get("task_id") if isinstance(chord, Mapping) else None


def _is_first(request: object) -> bool:
    """Return True if *request* had no closing event yet, which it then has."""
    if not isinstance(request, Context):
        return True
    first = _told.get(id(request)) is not request
    _told[id(request)] = request
    return first


def _headers(message: object) -> Mapping[str, Any]:
    headers = getattr(message, "headers", None)
    return headers if isinstance(headers, Mapping) else {}
