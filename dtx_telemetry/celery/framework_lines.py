"""Celery's own lines about a task that has our events: "received", "succeeded", "raised unexpected" and their like."""

import logging
from typing import Any

from ..context import current_scope
from ..logging import Subject, about_scope, lines_of

__all__: list[str] = []


@lines_of("celery.worker.strategy")
def _about_received(record: logging.LogRecord) -> Subject | None:
    """Return what "received" repeats: a task that was received starts, or has its event as revoked, rejected or unknown."""
    data = _data(record)
    return None if data is None else Subject(True, _ids(data))


@lines_of("celery.app.trace")
def _about_execution(record: logging.LogRecord) -> Subject | None:
    """Return what a line about the end of an execution repeats; Celery logs it inside that execution."""
    data, scope = _data(record), current_scope()
    if data is None or data.get("internal") or scope is None or scope.own.get("task.id") != data.get("id"):
        return None
    while scope.outer is not None and scope.outer.own is scope.own:  # a block of `bind_fields` that is still open
        scope = scope.outer
    return about_scope(scope)


def _ids(data: dict[str, Any]) -> dict[str, Any]:
    return {"task.id": data.get("id"), "task.name": data.get("name")}


def _data(record: logging.LogRecord) -> dict[str, Any] | None:
    """Return what Celery gives handlers to know a task by; ``None`` on its other lines."""
    data = record.__dict__.get("data")
    return data if isinstance(data, dict) and "id" in data else None
