"""The scope of one execution of a task, in the process that runs it, and its closing event."""

import logging
import signal
import sys
import time
from contextvars import ContextVar
from typing import Any, NamedTuple

from billiard.process import current_process
from celery import VERSION, states
from celery.app.task import Context
from celery.exceptions import Ignore, Reject, Retry
from celery.signals import task_postrun

from .. import context
from ..config import get_settings
from ..context import Scope
from ..events import TASK
from ..guard import signal_receiver
from ..logging import release
from ..tracing import TRACING
from . import reports
from .closing import AnyTask, close_completed, close_failed, close_refused, close_retried, end_span, log
from .headers import OurHeaders, read_headers, restored_fields

__all__ = ["end", "fail", "leave", "retry", "start"]

_WORKER_TRIPS_OVER_EXITS = VERSION < (5, 7)
#: What billiard's handler gives to ``sys.exit`` in a child that the worker ends by a signal.
_CODES_OF_TERMINATION = range(1 - 256, signal.NSIG - 256)
# The scope lives on the request of its execution, which Celery makes for this execution alone: nothing of ours
# has to be looked up, and nothing can be left behind.
_ATTRIBUTE = "_dtx_execution"
# The last execution here whose exception left Celery's tracer (its result cannot be stored, say): Celery reports that once
# more, when there is no scope any more.
_escaped: ContextVar[tuple[str | None, str] | None] = ContextVar("dtx_telemetry_task_escaped", default=None)


class _Execution(NamedTuple):
    """What is kept of an execution while it lasts; no header of a message can be one.

    Attributes:
        scope: the task's.
        handled: the exception that its caller, an eager task's, was handling.
    """

    scope: Scope
    handled: BaseException | None


@signal_receiver
def start(task: AnyTask, task_id: str | None) -> None:
    """Enter the scope of an execution and log ``task_started``; a receiver of ``task_prerun``."""
    settings = get_settings()
    if not settings.enabled:
        return
    receivers = task_postrun.receivers
    if not receivers or receivers[-1][1] is not leave:
        _leave_after_all_others()
    if _escaped.get() == (task_id, task.name):
        _escaped.set(None)
    request = task.request
    found, parent_id = read_headers(request), request.parent_id
    if request.is_eager:
        parent_id = parent_id or _task_around()
        scope = context.enter(TASK, {**_eager_fields(task, found, request), "task.id": task_id, "task.name": task.name})
    else:
        _leave_what_was_interrupted()
        fields = restored_fields(task, found, request, task_id)
        scope = context.enter_root(TASK, {**fields, "task.id": task_id, "task.name": task.name}, own=settings.own_keys)
    request.__dict__[_ATTRIBUTE] = _Execution(scope, sys.exc_info()[1])
    started = _started_fields(request, found, parent_id)
    if TRACING.on is not None:
        scope.span = TRACING.on.tasks.start(task, waited_ms=started.get("task.queue_ms"))
    log.emit(logging.INFO, "task_started", started)


@signal_receiver
def fail(sender: AnyTask, task_id: str | None, exception: Any) -> None:
    """Log ``task_failed``; a receiver of ``task_failure``, which the process that runs the task sends, or the worker's own."""
    if not get_settings().enabled or isinstance(exception, Reject):
        return
    execution = _execution_of(sender.request) if sender.request.id == task_id else None
    if execution is not None:
        close_failed(execution.scope, sender, exception)
    elif _escaped.get() != (task_id, sender.name) and not _is_exit_that_only_the_child_reports(exception):
        reports.failed(sender, task_id, exception)


@signal_receiver
def retry(sender: AnyTask, request: Any, reason: Any) -> None:
    """Log ``task_retried``; a receiver of ``task_retry``."""
    if not get_settings().enabled:
        return
    execution = _execution_of(request)
    if execution is not None:
        close_retried(execution.scope, sender, request, reason)
    else:
        reports.retried(sender, request, reason)


@signal_receiver
def end(task: AnyTask, task_id: str | None, state: str | None, retval: Any) -> None:
    """Log the closing event, where none was yet; a receiver of ``task_postrun``, before those of the application."""
    execution = _execution_of(task.request)
    if execution is None:
        return
    error = sys.exc_info()[1]
    # Without a state it is the body's exception that leaves the tracer; with one, something after the body may have failed.
    escaping = error if state is None or error is not execution.handled else None
    if escaping is not None:
        _escaped.set((task_id, task.name))
    try:
        _close(execution.scope, task, state, retval, escaping)
    finally:
        if execution.scope.waiting:  # no event came about
            release(execution.scope)
    if execution.scope.span is not None:  # where nobody here says how it ended
        end_span(execution.scope, task, "killed", error=escaping)


@signal_receiver
def leave(task: AnyTask) -> None:
    """Leave the scope; a receiver of ``task_postrun``, after those of the application."""
    execution = task.request.__dict__.pop(_ATTRIBUTE, None)
    if isinstance(execution, _Execution):
        execution.scope.leave()


def _leave_after_all_others() -> None:
    """Move `leave` behind the receivers that were connected after it, so that what they log and publish is the task's too.

    Those that are connected while a task runs are outside it, and inside the next one.

    It is connected again before it is disconnected: another thread whose task ends just now must not miss it.
    """
    found = [key for key, receiver in task_postrun.receivers if receiver is leave]
    task_postrun.connect(leave, weak=False, dispatch_uid=f"dtx_telemetry.leave.{context.new_request_id()}")
    for uid, _ in found:
        task_postrun.disconnect(dispatch_uid=uid)


def _leave_what_was_interrupted() -> None:
    """Leave an execution that this thread has closed and not left: a receiver between the two ended it with ``SystemExit``."""
    while (scope := context.current_scope()) is not None and scope.closed:
        scope.leave()


def _close(scope: Scope, task: AnyTask, state: str | None, retval: Any, escaping: BaseException | None) -> None:
    if state is None or escaping is not None:
        _close_raised(scope, task, escaping)
    elif state == states.SUCCESS:
        close_completed(scope, task)
    elif state == states.RETRY:
        close_retried(scope, task, task.request, retval)
    elif state in {states.IGNORED, states.REJECTED}:
        close_refused(scope, task, rejected=state == states.REJECTED)
    else:
        close_failed(scope, task, retval)


def _close_raised(scope: Scope, task: AnyTask, error: BaseException | None) -> None:
    """Close an execution whose exception leaves the tracer: an eager one's that propagates, or one that ends its process."""
    if isinstance(error, Retry):
        close_retried(scope, task, task.request, error)
    elif isinstance(error, Ignore | Reject):
        close_refused(scope, task, rejected=isinstance(error, Reject))
    elif isinstance(error, Exception) or task.request.is_eager or not _worker_reports(error):
        close_failed(scope, task, error)


def _worker_reports(error: BaseException | None) -> bool:
    """Whether the worker itself will say how this execution ended: it ended it, or loses the process that ran it."""
    if type(error).__name__ == "GreenletExit":
        return True
    return bool(current_process().daemon) and not _is_exit_that_only_the_child_reports(error)


def _is_exit_that_only_the_child_reports(error: Any) -> bool:
    """Whether *error* is a task's own exit under a Celery whose worker trips over it: its signal comes at best sometimes."""
    if not _WORKER_TRIPS_OVER_EXITS or not isinstance(error, SystemExit | KeyboardInterrupt):
        return False
    return getattr(error, "code", None) not in _CODES_OF_TERMINATION


def _execution_of(request: Context | None) -> _Execution | None:
    execution = None if request is None else request.__dict__.get(_ATTRIBUTE)
    return execution if isinstance(execution, _Execution) else None


def _task_around() -> str | None:
    """Return the id of the task that this eager one is run in, which Celery 5.5 does not name."""
    scope = context.current_scope()
    return None if scope is None else scope.own.get("task.id")


def _eager_fields(task: AnyTask, found: OurHeaders, request: Context) -> dict[str, Any]:
    """Return what an eager task binds besides its own: nothing, where its caller has an id and none was given for it."""
    request_id = context.get_request_id()
    if found.request_id is None and found.fields is None:
        if request_id is not None:
            return {}
    elif found.request_id is None:
        found = found._replace(request_id=request_id)
    return restored_fields(task, found, request, request.id)


def _started_fields(request: Context, found: OurHeaders, parent_id: str | None) -> dict[str, Any]:
    fields: dict[str, Any] = {"task.retries": request.retries}
    delivery = request.delivery_info
    if delivery and (queue := delivery.get("routing_key") or delivery.get("exchange")):
        fields["task.queue"] = queue
    waited = found.seconds_since(time.time())
    if waited is not None:
        fields["task.queue_ms"] = context.milliseconds(waited)
    if parent_id is not None:
        fields["task.parent_id"] = parent_id
    return fields
