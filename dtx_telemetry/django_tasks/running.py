"""The tasks that are running, each with its scope, for the signal of its end to find."""

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from .. import context
from ..context import Scope

if TYPE_CHECKING:
    from django.tasks.base import TaskResult

    Result = TaskResult[Any, Any]

__all__ = ["is_started", "leave_handed_on", "note_enqueued", "note_running", "running", "scope_of", "take_running"]

_MAX_RUNNING = 1024
#: Tasks of workers that have not ended, by id, the oldest left out above the limit: the signal of a task's end may come in
#: another thread than that of its start, and has nothing else of it.
_running: dict[str, Scope] = {}
#: The id of the task that was last enqueued here. A backend may run it before ``enqueue`` returns.
_last_enqueued: ContextVar[str | None] = ContextVar("dtx_telemetry_last_enqueued", default=None)


def note_enqueued(result: "Result") -> None:
    """Remember that *result* was enqueued here."""
    _last_enqueued.set(result.id)


def leave_handed_on(result: "Result") -> None:
    """Leave the task that was started here before *result* and was handed on: other threads run it, and may have ended it.

    A task that is enqueued here as well is run inside the one that goes on.
    """
    scope = context.current_scope()
    if scope is None or "task.id" not in scope.own:
        return
    goes_on = _running.get(scope.own["task.id"]) is scope
    if scope.ended or (goes_on and _last_enqueued.get() != result.id):
        scope.leave()


def note_running(result: "Result", scope: Scope) -> None:
    """Remember *scope*, in which a worker started *result*."""
    _running[result.id] = scope
    if len(_running) > _MAX_RUNNING:
        for oldest in tuple(_running)[:-_MAX_RUNNING]:
            _running.pop(oldest, None)


def running(task_id: str) -> Scope | None:
    """Return the scope of a worker's task, wherever it was started."""
    return _running.get(task_id)


def take_running(result: "Result") -> Scope | None:
    """Return the scope of a worker's task that ends, and forget it."""
    return _running.pop(result.id, None)


def is_started(result: "Result") -> bool:
    """Return True if *result* has its scope here already: under Django 6.0 a receiver may be called twice."""
    scope = scope_of(result.id)
    return scope is not None and not scope.ended


def scope_of(task_id: object) -> Scope | None:
    """Return the scope of a task that is entered here, or ``None`` if it is not."""
    scope = context.current_scope()
    while scope is not None and scope.own.get("task.id") != task_id:
        scope = scope.outer
    return scope
