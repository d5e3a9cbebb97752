"""The closing events that both sides log: the process that runs a task, and the worker's own about one that it lost."""

import logging
from typing import Any

from ..context import Scope
from ..errors import error_text
from ..logging import get_logger, log_closing_event

__all__ = ["close_completed", "close_failed", "close_refused", "close_retried", "failure", "log", "retry_fields"]

log = get_logger("dtx_telemetry.celery")


def failure(task: Any, error: Any) -> tuple[int, dict[str, Any]]:
    """Return the level and the fields of ``task_failed``: an exception that the task declares in ``throws`` is no error."""
    fields = {"error": error_text(error)}
    if isinstance(error, _throws(task)):
        return logging.INFO, fields
    return logging.ERROR, {**fields, "exc_info": error} if isinstance(error, BaseException) else fields


def close_completed(scope: Scope) -> None:
    """Log ``task_completed``, unless the scope has a closing event."""
    if scope.close():
        _log(scope, logging.INFO, "task_completed", {})


def close_failed(scope: Scope, task: Any, error: Any) -> None:
    """Log ``task_failed``, unless the scope has a closing event."""
    if scope.close():
        level, fields = failure(task, error)
        _log(scope, level, "task_failed", fields)


def close_retried(scope: Scope, request: Any, reason: Any) -> None:
    """Log ``task_retried`` with the exception that was the reason, or what Celery said instead of one."""
    if scope.close():
        _log(scope, logging.WARNING, "task_retried", retry_fields(request, reason))


def close_refused(scope: Scope, *, rejected: bool) -> None:
    """Log ``task_rejected`` or ``task_ignored``."""
    if not scope.close():
        return
    if rejected:
        _log(scope, logging.WARNING, "task_rejected", {})
    else:
        _log(scope, logging.INFO, "task_ignored", {})


def retry_fields(request: Any, reason: Any) -> dict[str, Any]:
    """Return the fields of ``task_retried``."""
    cause = getattr(reason, "exc", None) or reason
    error = error_text(cause) if cause is not None else "cancelled by Celery"
    return {"error": error, "task.retries": getattr(request, "retries", 0)}


def _log(scope: Scope, level: int, event: str, fields: dict[str, Any]) -> None:
    log_closing_event(log, scope, level, event, {"duration_ms": scope.duration_ms, **fields})


def _throws(task: Any) -> tuple[type[BaseException], ...]:
    throws = getattr(task, "throws", None) or ()
    throws = throws if isinstance(throws, tuple | list) else (throws,)
    return tuple(kind for kind in throws if isinstance(kind, type) and issubclass(kind, BaseException))
