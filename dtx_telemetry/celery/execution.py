"""The scope of one execution of a task, in the process that runs it, and its closing event."""

import logging
import sys
import time
from contextvars import ContextVar
from typing import Any

from billiard.process import current_process
from celery import states
from celery.exceptions import Ignore, Reject, Retry

from .. import context
from ..config import Settings, get_settings
from ..context import Scope
from ..guard import never_raises, report
from ..logging import release
from . import reports
from .closing import close_completed, close_failed, close_refused, close_retried, log
from .headers import OurHeaders, read_headers, restored_fields

__all__ = ["end", "fail", "retry", "start"]

# The scope lives on the request of its execution, which Celery makes for this execution alone: nothing of ours
# has to be looked up, and nothing can be left behind.
_ATTRIBUTE = "_dtx_execution"
# An exception that escapes (its result cannot be stored, say) is reported once more by Celery, after the scope was left.
_left: ContextVar[tuple[str | None, str] | None] = ContextVar("dtx_telemetry_task_left", default=None)


class _Execution(tuple[Scope, BaseException | None]):
    """A scope, and the exception that its caller, an eager task's, was handling. No header of a message can be one."""

    __slots__ = ()


def start(task_id: str | None = None, task: Any = None, **_: Any) -> None:
    """Enter the scope of an execution and log ``task_started``; a receiver of ``task_prerun``."""
    try:
        settings = get_settings()
        if settings.enabled:
            _start(settings, task, task_id)
    except Exception as error:
        report("start", error)


def _start(settings: Settings, task: Any, task_id: str | None) -> None:
    if _left.get() is not None:
        _left.set(None)
    request = task.request
    found, eager = read_headers(request), request.is_eager
    fields = _eager_fields(task, found, request) if eager else restored_fields(task, found, request, task_id)
    fields["task.id"] = task_id
    fields["task.name"] = task.name
    scope = context.enter(fields) if eager else context.enter_root(fields, own=settings.own_keys)
    request.__dict__[_ATTRIBUTE] = _Execution((scope, sys.exc_info()[1]))
    log.emit(logging.INFO, "task_started", _started_fields(request, found))


@never_raises
def fail(sender: Any = None, task_id: str | None = None, exception: Any = None, **_: Any) -> None:
    """Log ``task_failed``; a receiver of ``task_failure``, which the process that runs the task sends, or the worker's own."""
    if not get_settings().enabled or isinstance(exception, Reject):
        return
    scope = _scope_of(sender.request, task_id)
    if scope is not None:
        close_failed(scope, sender, exception)
    elif _left.get() != (task_id, sender.name):
        reports.failed(sender, task_id, exception)


@never_raises
def retry(sender: Any = None, request: Any = None, reason: Any = None, **_: Any) -> None:
    """Log ``task_retried``; a receiver of ``task_retry``."""
    if not get_settings().enabled:
        return
    scope = _scope_of(request, getattr(request, "id", None))
    if scope is not None:
        close_retried(scope, request, reason)
    else:
        reports.retried(sender, request, reason)


def end(task_id: str | None = None, task: Any = None, state: str | None = None, retval: Any = None, **_: Any) -> None:
    """Log the closing event, where none was yet, and leave the scope; a receiver of ``task_postrun``."""
    try:
        request = task.request
        execution = request.__dict__.pop(_ATTRIBUTE, None)
        if type(execution) is _Execution:
            _end(*execution, task, request, task_id, state, retval)
    except Exception as error:
        report("end", error)


def _end(
    scope: Scope, handled: BaseException | None, task: Any, request: Any, task_id: str | None, state: str | None, retval: Any
) -> None:
    error = sys.exc_info()[1]
    # Without a state it is the body's exception that leaves the tracer; with one, something after the body may have failed.
    escaping = error if state is None or error is not handled else None
    try:
        _close(scope, task, request, state, retval, escaping)
    finally:
        release(scope)  # where no event came about
        context.leave(scope)
        if escaping is not None:
            _left.set((task_id, task.name))


def _close(scope: Scope, task: Any, request: Any, state: str | None, retval: Any, escaping: BaseException | None) -> None:
    if state is None or escaping is not None:
        _close_raised(scope, task, request, escaping)
    elif state == states.SUCCESS:
        close_completed(scope)
    elif state == states.RETRY:
        close_retried(scope, request, retval)
    elif state in {states.IGNORED, states.REJECTED}:
        close_refused(scope, rejected=state == states.REJECTED)
    else:
        close_failed(scope, task, retval)


def _close_raised(scope: Scope, task: Any, request: Any, error: BaseException | None) -> None:
    """Close an execution whose exception leaves the tracer: an eager one's that propagates, or one that ends its process."""
    if isinstance(error, Retry):
        close_retried(scope, request, error)
    elif isinstance(error, Ignore | Reject):
        close_refused(scope, rejected=isinstance(error, Reject))
    elif isinstance(error, Exception) or request.is_eager or not _worker_reports(error):
        close_failed(scope, task, error)


def _worker_reports(error: BaseException | None) -> bool:
    """Whether the worker itself will say how this execution ended: it ended it, or loses the process that ran it."""
    return bool(current_process().daemon) or type(error).__name__ == "GreenletExit"


def _scope_of(request: Any, task_id: str | None) -> Scope | None:
    if getattr(request, "id", None) != task_id:
        return None
    execution = getattr(request, "__dict__", {}).get(_ATTRIBUTE)
    return execution[0] if type(execution) is _Execution else None


def _eager_fields(task: Any, found: OurHeaders, request: Any) -> dict[str, Any]:
    """Return what an eager task binds besides its own: nothing, where its caller has an id and none was given for it."""
    request_id = context.get_request_id()
    if found.request_id is None and found.fields is None:
        if request_id is not None:
            return {}
    elif found.request_id is None:
        found = found._replace(request_id=request_id)
    return restored_fields(task, found, request, request.id)


def _started_fields(request: Any, found: OurHeaders) -> dict[str, Any]:
    fields = {"task.retries": request.retries}
    delivery = request.delivery_info
    if delivery and (queue := delivery.get("routing_key") or delivery.get("exchange")):
        fields["task.queue"] = queue
    waited = found.seconds_since(time.time())
    if waited is not None:
        fields["task.queue_ms"] = context.milliseconds(waited)
    if request.parent_id is not None:
        fields["task.parent_id"] = request.parent_id
    return fields
