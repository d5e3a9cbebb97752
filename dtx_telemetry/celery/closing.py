"""The closing events that both sides log: the process that runs a task, and the worker's own about one that it lost.

With OpenTelemetry on, the span of an execution ends with its closing event.
"""

import logging
from typing import Any, TypeAlias

from celery.app.task import Context, Task

from ..context import Scope
from ..errors import error_text
from ..logging import get_logger, log_closing_event
from ..tracing import TRACING

__all__ = [
    "AnyTask",
    "close_completed",
    "close_failed",
    "close_refused",
    "close_retried",
    "end_span",
    "failure",
    "log",
    "retry_fields",
]

#: In quotes: it is generic for type checkers alone.
AnyTask: TypeAlias = "Task[Any, Any]"

log = get_logger("dtx_telemetry.celery")


def failure(task: AnyTask, error: Any) -> tuple[int, dict[str, Any]]:
    """Return the level and the fields of ``task_failed``: an exception that the task declares in ``throws`` is no error."""
    fields = {"error": error_text(error)}
    if isinstance(error, _throws(task)):
        return logging.INFO, fields
    return logging.ERROR, {**fields, "exc_info": error} if isinstance(error, BaseException) else fields


def close_completed(scope: Scope, task: AnyTask) -> None:
    """Log ``task_completed``, unless the scope has a closing event."""
    if scope.close():
        _log(scope, logging.INFO, "task_completed", {})
        if TRACING.on is not None:
            end_span(scope, task, "completed")


def close_failed(scope: Scope, task: AnyTask, error: Any) -> None:
    """Log ``task_failed``, unless the scope has a closing event."""
    if not scope.close():
        return
    level, fields = failure(task, error)
    _log(scope, level, "task_failed", fields)
    end_span(scope, task, "failed", error=error if level == logging.ERROR else None)


def close_retried(scope: Scope, task: AnyTask, request: Context | None, reason: Any) -> None:
    """Log ``task_retried`` with the exception that was the reason, or what Celery said instead of one."""
    if scope.close():
        fields = retry_fields(request, reason)
        _log(scope, logging.WARNING, "task_retried", fields)
        end_span(scope, task, "retried", reason=fields["error"])


def close_refused(scope: Scope, task: AnyTask, *, rejected: bool) -> None:
    """Log ``task_rejected`` or ``task_ignored``."""
    if not scope.close():
        return
    if rejected:
        _log(scope, logging.WARNING, "task_rejected", {})
    else:
        _log(scope, logging.INFO, "task_ignored", {})
    end_span(scope, task, "rejected" if rejected else "ignored")


def end_span(scope: Scope, task: AnyTask, outcome: str, *, error: Any = None, reason: object = None) -> None:
    """End the span of an execution, if it has one, and measure it."""
    if TRACING.on is not None:
        TRACING.on.tasks.finish(scope.span, task, outcome, scope.duration_ms / 1000, error=error, reason=reason)


def retry_fields(request: Context | None, reason: Any) -> dict[str, Any]:
    """Return the fields of ``task_retried``."""
    cause = getattr(reason, "exc", None) or reason
    error = error_text(cause) if cause is not None else "cancelled by Celery"
    return {"error": error, "task.retries": getattr(request, "retries", 0)}


def _log(scope: Scope, level: int, event: str, fields: dict[str, Any]) -> None:
    log_closing_event(log, scope, level, event, {"duration_ms": scope.duration_ms, **fields})


def _throws(task: AnyTask) -> tuple[type[BaseException], ...]:
    throws = getattr(task, "throws", None) or ()
    throws = throws if isinstance(throws, tuple | list) else (throws,)
    return tuple(kind for kind in throws if isinstance(kind, type) and issubclass(kind, BaseException))
