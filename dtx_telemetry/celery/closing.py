"""The closing events of tasks, as both sides log them: the process that runs a task, and the worker's own that lost it."""

import logging
from typing import Any, TypeAlias

from celery.app.task import Context, Task
from celery.utils.serialization import UnpickleableExceptionWrapper

from ..context import Scope
from ..errors import error_text
from ..events import POLLING_TASK, TASK, TASK_FAILED, TASK_RETRIED, Event
from ..logging import get_logger

__all__ = ["AnyTask", "end_failed", "end_retried", "level_of", "log"]

#: In quotes: it is generic for type checkers alone.
AnyTask: TypeAlias = "Task[Any, Any]"

log = get_logger(TASK.logger)


def level_of(event: Event, task: str | None) -> int:
    """Return the level of *event* about the task of that name."""
    return logging.DEBUG if task == POLLING_TASK else event.level


def end_failed(scope: Scope, task: AnyTask, error: object) -> None:
    """End *scope* as ``task_failed``. An exception that the task declares in ``throws`` is no error.

    Args:
        scope: the task's, or the worker's about it.
        task: the task.
        error: an exception, a word, or ``None`` if all that is known is that it failed.
    """
    is_expected = isinstance(error, _throws(task))
    scope.end(
        TASK_FAILED,
        {"error": _text(error)},
        error=error if isinstance(error, BaseException) else None,
        level=logging.INFO if is_expected else None,
        with_traceback=not is_expected,
    )


def end_retried(scope: Scope, task: AnyTask, request: Context | None, reason: object) -> None:
    """End *scope* as ``task_retried``.

    Args:
        scope: the task's, or the worker's about it.
        task: the task.
        request: its request.
        reason: the exception that was the reason, or a word.
    """
    fields = {"error": _text(getattr(reason, "exc", None) or reason), "task.retries": getattr(request, "retries", 0)}
    scope.end(TASK_RETRIED, fields, level=level_of(TASK_RETRIED, task.name))


def _text(error: object) -> str:
    """Return the text of *error*, of one that could not be pickled too: Celery puts a wrapper in its place."""
    if error is None:  # celery-batches keeps it to itself
        return "no exception was given"
    if isinstance(error, str):
        return error
    return error_text(error.restore() if isinstance(error, UnpickleableExceptionWrapper) else error)


def _throws(task: AnyTask) -> tuple[type[BaseException], ...]:
    throws = getattr(task, "throws", None) or ()
    throws = throws if isinstance(throws, tuple | list) else (throws,)
    return tuple(kind for kind in throws if isinstance(kind, type) and issubclass(kind, BaseException))
