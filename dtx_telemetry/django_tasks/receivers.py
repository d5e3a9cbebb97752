"""The receivers of the three signals, and what else is put in the way of a task."""

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
from ..events import (
    CONTEXT_NOT_RESTORED_WHOLE,
    DJANGO_TASK,
    TASK_COMPLETED,
    TASK_FAILED,
    TASK_PUBLISHED,
    TASK_STARTED,
)
from ..guard import never_raises, wrap_method
from ..logging import find_scopes_by, get_logger
from .cache import PARENT_ID, REQUEST_ID, TRACE, own_id, receive_context, restore, send_context
from .running import is_started, leave_handed_on, note_enqueued, note_running, running, scope_of, take_running

if TYPE_CHECKING:
    from django.tasks.base import TaskResult

    Result = TaskResult[Any, Any]

__all__ = ["install"]

_log = get_logger(__package__)


def install() -> None:
    """Connect to the signals of ``django.tasks``, if Django has it. A second call does nothing.

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

    find_scopes_by("django.tasks", _find_scope)
    wrap_method(ImmediateBackend, "enqueue", _running_at_once)
    for signal, receiver in ((task_enqueued, _enqueued), (task_started, _started), (task_finished, _finished)):
        signal.connect(receiver, dispatch_uid=f"dtx_telemetry{receiver.__name__}")
    if django.VERSION < (6, 1):
        wrap_method(task_started, "asend", partial(_starting_here, task_started))
        wrap_method(task_finished, "asend", partial(_finishing_here, task_finished))


def _starting_here(signal: Signal, asend: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``asend``, by which asynchronous workers send, so that what a receiver enters is entered in the task's own context.

    Django 6.0 calls the receivers in an asyncio task of their own, whose context is lost. From 6.1 on it does not.
    """

    async def start_and_send(sender: Any, **named: Any) -> Any:
        await sync_to_async(_started)(sender, **named)
        return await asend(signal, sender, **named)

    return start_and_send


def _finishing_here(signal: Signal, asend: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``asend`` likewise: the task ends while its exception is handled, and is left when all receivers were told."""

    async def finish_and_send(sender: Any, **named: Any) -> Any:
        _ended(sender, **named)
        try:
            return await asend(signal, sender, **named)
        finally:
            _finished(sender, **named)

    return finish_and_send


@never_raises
def _enqueued(sender: Any, task_result: "Result", **_: Any) -> None:
    """Let the context go along and log ``task_published``. A receiver of ``task_enqueued``."""
    settings = get_settings()
    if not settings.enabled:
        return
    note_enqueued(task_result)
    fields = {"task.id": task_result.id, "task.name": task_result.task.module_path, "task.queue": task_result.task.queue_name}
    if context.get_request_id() is None:
        fields[REQUEST_ID] = own_id(task_result)
    if not _is_immediate(sender):  # which sends no message
        send_context(settings, task_result, context.tell("django_task_enqueued", task_result))
    _log.emit(TASK_PUBLISHED.level, TASK_PUBLISHED.name, fields)


@never_raises
def _started(sender: Any, task_result: "Result", **_: Any) -> None:
    """Enter the scope of a task and log ``task_started``. A receiver of that signal."""
    settings = get_settings()
    if not settings.enabled or is_started(task_result):
        return
    own = {"task.id": task_result.id, "task.name": task_result.task.module_path}
    if _is_immediate(sender):  # its publisher is the scope around
        started = _started_fields(task_result, context.bound().get("task.id"))
        fields = own if context.get_request_id() else {REQUEST_ID: own_id(task_result), **own}
        context.enter(DJANGO_TASK, fields, about=(task_result, None, started.get("task.queue_ms")))
    else:
        carried = receive_context(settings, task_result) or {}
        started = _started_fields(task_result, carried.get(PARENT_ID))
        fields, problems = restore(carried, task_result)
        leave_handed_on(task_result)
        about = (task_result, carried.get(TRACE, {}), started.get("task.queue_ms"))
        scope = context.enter_root(DJANGO_TASK, {**fields, **own}, own=settings.own_keys, about=about)
        note_running(task_result, scope)
        if problems:
            _log.warning(CONTEXT_NOT_RESTORED_WHOLE.name, fields=problems)
    _log.emit(TASK_STARTED.level, TASK_STARTED.name, started)


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
    """Log the closing event and leave the scope. A receiver of ``task_finished``, which may come in another thread."""
    started = take_running(task_result)
    scope = scope_of(task_result.id)
    if scope is not None:
        _end(scope, task_result)
        scope.leave()
    elif started is not None:
        _end(started, task_result)


def _running_at_once(enqueue: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the method of the immediate backend that runs a task: no signal tells of an end by Ctrl-C."""

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
    """End and leave the task that was started in *around* and ended by *error*, which another receiver may have raised."""
    scope = context.current_scope()
    while scope is not None and scope.outer is not around:
        scope = scope.outer
    if scope is not None and scope.kind is DJANGO_TASK:
        scope.end(TASK_FAILED, error=error)
        scope.leave()


@never_raises
def _ended(sender: Any, task_result: "Result", **_: Any) -> None:
    scope = scope_of(task_result.id)
    if scope is not None:
        _end(scope, task_result)


def _end(scope: Scope, result: "Result") -> None:
    error = sys.exc_info()[1]  # Django: "Signal is sent inside exception handlers"
    if result.status != "FAILED":
        scope.end(TASK_COMPLETED)
    elif error is not None:
        scope.end(TASK_FAILED, error=error)
    else:
        kinds = [failure.exception_class_path.rpartition(".")[2] for failure in result.errors]
        scope.end(TASK_FAILED, {"error": kinds[-1] if kinds else "unknown"})


def _find_scope(task_id: object) -> Scope | None:
    """Return the scope of a task, which may be over."""
    return scope_of(task_id) or running(str(task_id))


def _is_immediate(backend: Any) -> bool:
    """Return True for the immediate backend, whose `enqueue` runs the task. Signals come from its class or an instance."""
    from django.tasks.backends.immediate import ImmediateBackend

    return issubclass(backend if isinstance(backend, type) else type(backend), ImmediateBackend)
