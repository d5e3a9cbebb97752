"""The scope of one execution of a task, in the process that runs it, and how it ends.

Signals are all that Celery has: nothing is kept between them but the scope itself, which is current all the while.
"""

import os
import signal
import sys
import time
from contextvars import ContextVar
from typing import Any, TypeGuard

from billiard.process import current_process
from celery import VERSION, states
from celery.app.task import Context
from celery.exceptions import Ignore, Reject, Retry, TaskPredicate, WorkerLostError
from celery.signals import task_postrun
from celery.utils.serialization import UnpickleableExceptionWrapper

from .. import context
from ..config import get_settings
from ..context import Scope
from ..errors import add_steering
from ..events import CONTEXT_NOT_RESTORED_WHOLE, TASK, TASK_COMPLETED, TASK_IGNORED, TASK_REJECTED, TASK_STARTED
from ..guard import signal_receiver
from . import reports
from .closing import AnyTask, end_failed, end_retried, level_of, log
from .headers import OurHeaders, read_headers, restore

__all__ = ["end", "fail", "leave", "retry", "start"]

#: Where Celery's tracer stands, as tracebacks name it. It is not imported here: in most processes nobody else does.
_TRACER = os.path.join("celery", "app", "trace.py")  # noqa: PTH118 - a part of a path
_WORKER_TRIPS_OVER_EXITS = VERSION < (5, 7)
#: What billiard's handler gives to ``sys.exit`` in a child that the worker ends by a signal.
_CODES_OF_TERMINATION = range(1 - 256, signal.NSIG - 256)
add_steering(TaskPredicate)  # Retry, Ignore, Reject
# The last execution here whose exception left Celery's tracer (its result cannot be stored, say): Celery reports that once
# more, when there is no scope any more.
_escaped: ContextVar[tuple[str | None, str] | None] = ContextVar("dtx_telemetry_task_escaped", default=None)


@signal_receiver
def start(task: AnyTask, task_id: str | None) -> None:
    """Enter the scope of an execution and log ``task_started``. A receiver of ``task_prerun``."""
    settings = get_settings()
    if not settings.enabled:
        return
    receivers = task_postrun.receivers
    if not receivers or receivers[0][1] is not end or receivers[-1][1] is not leave:
        _surround_all_others()
    if _escaped.get() == (task_id, task.name):
        _escaped.set(None)
    request = task.request
    found = read_headers(request)
    started = _started_fields(request, found)
    if request.is_eager:
        fields, problems = _eager_fields(task, found, request)
        fields |= {"task.id": task_id, "task.name": task.name}
        scope = context.enter(TASK, fields, about=(task, request, started))
    else:
        _leave_what_was_interrupted()
        fields, problems = restore(task, found, request, task_id)
        fields |= {"task.id": task_id, "task.name": task.name}
        scope = context.enter_root(TASK, fields, own=settings.own_keys, about=(task, request, started))
    scope.kept = id(sys.exc_info()[1])  # what the caller of an eager task is handling lives as long as the task
    if problems:
        log.warning(CONTEXT_NOT_RESTORED_WHOLE.name, fields=problems)
    log.emit(level_of(TASK_STARTED, task.name), TASK_STARTED.name, started)


@signal_receiver
def fail(sender: AnyTask, task_id: str | None, exception: object, traceback: object) -> None:
    """Log ``task_failed``. A receiver of ``task_failure``, which the process that runs the task sends, or the worker's own."""
    if not get_settings().enabled or isinstance(exception, Reject):
        return
    scope = _scope_of(task_id)
    if scope is not None:
        # What is being handled is the task's own exception. The signal has another one if that cannot be pickled.
        end_failed(scope, sender, sys.exc_info()[1] or exception)
    elif _escaped.get() != (task_id, sender.name) and not _is_exit_that_only_the_child_reports(exception):
        if _left_a_childs_tracer(exception, traceback):
            reports.told_by_child(sender, task_id, exception)
        else:
            reports.failed(sender, task_id, exception)


@signal_receiver
def retry(sender: AnyTask, request: Context | None, reason: object) -> None:
    """Log ``task_retried``. A receiver of ``task_retry``."""
    if not get_settings().enabled:
        return
    scope = _scope_of(getattr(request, "id", None))
    if reason is None:  # what the worker says as it cancels a task, maybe in a signal handler in the midst of it
        reports.cancelled(sender, request)
    elif scope is not None:
        end_retried(scope, sender, request, reason)
    else:
        reports.retried(sender, request, reason)


@signal_receiver
def end(task: AnyTask, task_id: str | None, state: str | None, retval: object) -> None:
    """Log the closing event, if there was none yet. A receiver of ``task_postrun``, before all others."""
    scope = _scope_of(task_id)
    if scope is None:
        return
    error = sys.exc_info()[1]
    # Without a state it is the body's exception that leaves the tracer. With one, something after the body may have failed.
    escaping = error if state is None or id(error) != scope.kept else None
    if escaping is not None:
        _escaped.set((task_id, task.name))
    if state is None or escaping is not None:
        _end_raised(scope, task, escaping)
    elif state == states.SUCCESS:
        scope.end(TASK_COMPLETED, level=level_of(TASK_COMPLETED, task.name))
    elif state == states.RETRY:
        end_retried(scope, task, task.request, retval)
    elif state in {states.IGNORED, states.REJECTED}:
        scope.end(TASK_IGNORED if state == states.IGNORED else TASK_REJECTED)
    else:
        end_failed(scope, task, retval)
    scope.end(None, error=escaping, outcome="killed")  # if nothing here says how it ended, the worker will


@signal_receiver
def leave(task_id: str | None) -> None:
    """Leave the scope. A receiver of ``task_postrun``, after all others."""
    scope = _scope_of(task_id)
    if scope is not None:
        scope.leave()


def _scope_of(task_id: str | None) -> Scope | None:
    """Return the innermost scope here that is an execution of that task."""
    scope = context.current_scope()
    while scope is not None and (scope.kind is not TASK or scope.own["task.id"] != task_id):
        scope = scope.outer
    return scope


def _surround_all_others() -> None:
    """Move `end` before and `leave` behind all other receivers, whenever they were connected.

    A tracer ends its span in a receiver of its own, and the closing event is to have the ids of that span. What the receivers
    log and publish is the task's too. Those that are connected while a task runs are outside it, and inside the next one.
    """
    postrun: Any = task_postrun
    with postrun.lock:
        # Not in place: Celery looks without the lock whether there are any, and a list that is being sorted is empty.
        postrun.receivers[:] = sorted(postrun.receivers, key=lambda entry: (entry[1] is leave) - (entry[1] is end))
        postrun.sender_receivers_cache.clear()


def _leave_what_was_interrupted() -> None:
    """Leave an execution that has ended here and was not left: a receiver between the two ended it with ``SystemExit``."""
    while (scope := context.current_scope()) is not None and scope.ended:
        scope.leave()


def _started_fields(request: Context, found: OurHeaders) -> dict[str, Any]:
    fields: dict[str, Any] = {"task.retries": request.retries}
    delivery = request.delivery_info
    if delivery and (queue := delivery.get("routing_key") or delivery.get("exchange")):
        fields["task.queue"] = queue
    published_at = found.published_at
    if type(published_at) in (float, int) and 0 < published_at < 2**40:  # else it is missing, or makes no sense
        fields["task.queue_ms"] = context.milliseconds(max(time.time() - published_at, 0))  # its clock may be ahead of ours
    parent_id = request.parent_id
    if parent_id is None and request.is_eager and (around := context.current_scope()) is not None:
        parent_id = around.own.get("task.id")  # Celery 5.5 does not name it
    if parent_id is not None and parent_id != request.id:  # a retry is published by the task itself
        fields["task.parent_id"] = parent_id
    return fields


def _eager_fields(task: AnyTask, found: OurHeaders, request: Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what an eager task binds besides its own: nothing, if its caller has an id and none was given for it."""
    request_id = context.get_request_id()
    if found.request_id is None and found.fields is None and request_id is not None:
        return {}, {}
    if found.request_id is None:
        found = found._replace(request_id=request_id)
    fields, problems = restore(task, found, request, request.id)
    if context.current_scope_id() is not None:
        fields.pop("scope.cause", None)  # the scope around runs it, wherever the headers come from
    return fields, problems


def _end_raised(scope: Scope, task: AnyTask, error: BaseException | None) -> None:
    """End an execution whose exception leaves the tracer: an eager one's that propagates, or one that ends its process."""
    if isinstance(error, Retry):
        end_retried(scope, task, task.request, error)
    elif isinstance(error, Ignore | Reject):
        scope.end(TASK_REJECTED if isinstance(error, Reject) else TASK_IGNORED)
    elif type(error).__name__ == "GreenletExit" and not task.request.is_eager:  # the worker ended it, which is here
        reports.end_interrupted(scope, task)
    elif isinstance(error, Exception) or task.request.is_eager or not _worker_reports(error):
        end_failed(scope, task, error)


def _worker_reports(error: BaseException | None) -> bool:
    """Return True if the worker itself will say how this execution ended: it ended it, or loses the process that ran it."""
    return bool(current_process().daemon) and not _is_exit_that_only_the_child_reports(error)


def _left_a_childs_tracer(error: object, traceback: object) -> TypeGuard[Exception]:
    """Return True if a child's tracer let out *error*, as if its task's ``on_failure`` fails. The child has told of it then.

    The worker has nothing of the child's but the text of the traceback.
    """
    return (
        isinstance(error, Exception)
        and not isinstance(error, WorkerLostError | UnpickleableExceptionWrapper)
        and isinstance(traceback, str)
        and f'{_TRACER}", line ' in traceback
        and ", in trace_task\n" in traceback
    )


def _is_exit_that_only_the_child_reports(error: object) -> bool:
    """Return True for a task's own exit under a Celery whose worker trips over it: its signal comes at best sometimes."""
    if not _WORKER_TRIPS_OVER_EXITS or not isinstance(error, SystemExit | KeyboardInterrupt):
        return False
    return getattr(error, "code", None) not in _CODES_OF_TERMINATION
