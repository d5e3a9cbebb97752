"""The receivers of the three signals, and what else is put in the way of a task."""

import logging
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.dispatch import Signal

from .. import context
from ..config import ImproperlyConfigured, get_settings
from ..context import Scope
from ..errors import error_text
from ..events import DJANGO_TASK
from ..guard import never_raises, wrap_method
from ..logging import Subject, about_scope, get_logger, lines_of, log_closing_event
from ..tracing import TRACING
from .cache import PARENT_ID, REQUEST_ID, TRACE, own_id, receive_context, restored_fields, send_context
from .running import is_started, leave_handed_on, note_enqueued, note_running, running, scope_of, take_running

if TYPE_CHECKING:
    from django.tasks.base import TaskResult

    Result = TaskResult[Any, Any]

__all__ = ["install"]

_log = get_logger(__package__)


def install() -> None:
    """Connect to the signals of ``django.tasks``, where there is such a thing; a second call does nothing.

    Raises:
        ImproperlyConfigured: ``TASKS_CACHE`` names no cache.
    """
    if django.VERSION < (6,):
        return
    alias = get_settings().tasks_cache
    if alias is not None and alias not in django_settings.CACHES:
        accepted = ", ".join(sorted(django_settings.CACHES))
        raise ImproperlyConfigured(f"DTX_TELEMETRY['TASKS_CACHE'] is {alias!r}; accepted: an alias of CACHES ({accepted}).")
    from django.tasks.backends.immediate import ImmediateBackend
    from django.tasks.signals import task_enqueued, task_finished, task_started

    wrap_method(ImmediateBackend, "enqueue", _running_at_once)
    for signal, receiver in ((task_enqueued, _enqueued), (task_started, _started), (task_finished, _finished)):
        signal.connect(receiver, dispatch_uid=f"dtx_telemetry{receiver.__name__}")
    if django.VERSION < (6, 1):
        wrap_method(task_started, "asend", partial(_starting_here, task_started))
        wrap_method(task_finished, "asend", partial(_finishing_here, task_finished))


def _starting_here(signal: Signal, asend: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``asend``, by which asynchronous workers send: what a receiver enters is entered where the task runs.

    Django 6.0 calls the receivers in an asyncio task of their own, whose context is lost; from 6.1 on it does not.
    """

    async def start_and_send(sender: Any, **named: Any) -> Any:
        await sync_to_async(_started)(sender, **named)
        return await asend(signal, sender, **named)

    return start_and_send


def _finishing_here(signal: Signal, asend: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``asend`` likewise: the task is closed where its exception is handled, and left when all receivers were told."""

    async def finish_and_send(sender: Any, **named: Any) -> Any:
        _closed(sender, **named)
        try:
            return await asend(signal, sender, **named)
        finally:
            _finished(sender, **named)

    return finish_and_send


@never_raises
def _enqueued(sender: Any, task_result: "Result", **_: Any) -> None:
    """Let the context go along and log ``task_published``; a receiver of ``task_enqueued``."""
    settings = get_settings()
    if not settings.enabled:
        return
    note_enqueued(task_result)
    fields = {"task.id": task_result.id, "task.name": task_result.task.module_path, "task.queue": task_result.task.queue_name}
    if context.get_request_id() is None:
        fields[REQUEST_ID] = own_id(task_result)
    if not _is_immediate(sender):  # with no message, there is nobody who sends one
        send_context(settings, task_result, _traced(task_result))
    _log.emit(logging.INFO, "task_published", fields)


def _traced(result: "Result") -> dict[str, str] | None:
    if TRACING.on is None:
        return None
    return TRACING.on.django_tasks.enqueued(result)


@never_raises
def _started(sender: Any, task_result: "Result", **_: Any) -> None:
    """Enter the scope of a task and log ``task_started``; a receiver of that signal."""
    settings = get_settings()
    if not settings.enabled or is_started(task_result):
        return
    own = {"task.id": task_result.id, "task.name": task_result.task.module_path}
    if _is_immediate(sender):  # its publisher is the scope around
        parent_id = context.bound().get("task.id")
        trace = None
        scope = context.enter(DJANGO_TASK, own if context.get_request_id() else {REQUEST_ID: own_id(task_result), **own})
    else:
        carried = receive_context(settings, task_result) or {}
        parent_id, trace = carried.get(PARENT_ID), carried.get(TRACE, {})
        leave_handed_on(task_result)
        scope = context.enter_root(DJANGO_TASK, {**restored_fields(carried, task_result), **own}, own=settings.own_keys)
        note_running(task_result, scope)
    started = _started_fields(task_result, parent_id)
    if TRACING.on is not None:
        scope.span = TRACING.on.django_tasks.start(task_result, trace, waited_ms=started.get("task.queue_ms"))
    _log.emit(logging.INFO, "task_started", started)


def _started_fields(result: "Result", parent_id: Any) -> dict[str, Any]:
    fields = {"task.retries": max(len(result.worker_ids) - 1, 0), "task.queue": result.task.queue_name}
    started_at = result.last_attempted_at or result.started_at
    if started_at is not None and result.enqueued_at is not None:
        fields["task.queue_ms"] = context.milliseconds(max((started_at - result.enqueued_at).total_seconds(), 0))
    if isinstance(parent_id, str):
        fields[PARENT_ID] = parent_id
    return fields


@never_raises
def _finished(sender: Any, task_result: "Result", **_: Any) -> None:
    """Log the closing event and leave the scope; a receiver of ``task_finished``."""
    started = take_running(task_result)
    scope = scope_of(task_result.id)
    if scope is not None:
        try:
            _close(scope, task_result)
        finally:
            scope.leave()
    elif started is not None:
        outside = started.resume()
        try:
            _close(started, task_result)
        finally:
            started.pause(outside)


def _running_at_once(enqueue: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the method of the backend that runs a task where it is enqueued: no signal tells of an end by Ctrl-C."""

    def enqueue_and_run(self: Any, *args: Any, **kwargs: Any) -> Any:
        around = context.current_scope()
        try:
            return enqueue(self, *args, **kwargs)
        except BaseException as error:
            _end_interrupted(around, error)
            raise

    return enqueue_and_run


@never_raises
def _end_interrupted(around: Scope | None, error: BaseException) -> None:
    """Close and leave the task that was started in *around* and ended by *error*, which another receiver may have raised."""
    scope = context.current_scope()
    while scope is not None and scope.outer is not around:
        scope = scope.outer
    if scope is None or "task.id" not in scope.own:
        return
    try:
        _log_end(scope, {"error": error_text(error), "exc_info": error}, error)
    finally:
        scope.leave()


@never_raises
def _closed(sender: Any, task_result: "Result", **_: Any) -> None:
    scope = scope_of(task_result.id)
    if scope is not None:
        _close(scope, task_result)


@never_raises
def _close(scope: Scope, result: "Result") -> None:
    if result.status != "FAILED":
        _log_end(scope, None, None)
        return
    error = sys.exc_info()[1]  # Django: "Signal is sent inside exception handlers"
    _log_end(scope, _failure(result, error), error)


def _log_end(scope: Scope, failure: dict[str, Any] | None, error: BaseException | None) -> None:
    """Log the closing event, unless there was one: ``task_failed`` with the fields of *failure*, else ``task_completed``."""
    if not scope.close():
        return
    level, outcome = (logging.INFO, "completed") if failure is None else (logging.ERROR, "failed")
    log_closing_event(_log, scope, level, f"task_{outcome}", {"duration_ms": scope.duration_ms, **(failure or {})})
    if TRACING.on is not None:
        name = scope.own["task.name"]
        TRACING.on.django_tasks.finish(scope.span, name, outcome, scope.duration_ms / 1000, error=error)


def _failure(result: "Result", error: BaseException | None) -> dict[str, Any]:
    if error is not None:
        return {"error": error_text(error), "exc_info": error}
    kinds = [failure.exception_class_path.rpartition(".")[2] for failure in result.errors]
    return {"error": kinds[-1] if kinds else "unknown"}


@lines_of("django.tasks")
def _about_task(record: logging.LogRecord) -> Subject | None:
    """Return what Django's line about the state of a task repeats: enqueued, running, successful or failed."""
    if not isinstance(record.args, tuple) or len(record.args) != 3:
        return None
    task_id, name, state = record.args
    if state in ("SUCCESSFUL", "FAILED"):
        scope = scope_of(task_id) or running(str(task_id))
        return None if scope is None else about_scope(scope)
    return Subject(True, {"task.id": task_id, "task.name": name})


def _is_immediate(backend: Any) -> bool:
    """Return True for the backend that runs a task where it is enqueued. Signals come from its class or an instance of it."""
    from django.tasks.backends.immediate import ImmediateBackend

    return issubclass(backend if isinstance(backend, type) else type(backend), ImmediateBackend)
