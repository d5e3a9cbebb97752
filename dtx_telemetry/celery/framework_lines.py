"""Celery's own lines about a task that has our events: "received", "succeeded", "raised unexpected" and their like."""

import logging
from typing import Any

from ..context import Scope, current_scope
from ..events import TASK
from ..guard import never_raises
from ..logging import Subject, about_exception, about_scope, is_printed_at_once, lines_of, switch_off_where_unheard
from .closing import is_polling, log

__all__ = ["spare_unheard_lines"]


def spare_unheard_lines() -> None:
    """Have Celery not even make the records that would be left out here and that nobody else gets.

    A worker asks once whether anybody gets "received", as its consumer starts: a handler that is added later gets it from the
    consumer's next start on, as a level that is changed later works from then on.
    """
    switch_off_where_unheard("celery.worker.strategy", logging.INFO, lambda: True)
    switch_off_where_unheard("celery.app.trace", logging.INFO, _will_be_said)


@never_raises
def _will_be_said() -> bool:
    """Whether Celery, which is about to say how an execution ended, is inside one whose closing event says or said so."""
    scope = _execution_around()
    if scope is None:
        return False
    if scope.ended:
        return scope.told or is_polling(scope.own["task.name"])
    return is_printed_at_once(log, logging.INFO)


@lines_of("celery.worker.strategy")
def _about_received(record: logging.LogRecord) -> Subject | None:
    """Return what "received" repeats: a task that was received starts, or has its event as revoked, rejected or unknown."""
    data = _data(record)
    return None if data is None else Subject(True, _ids(data))


@lines_of("celery.app.trace")
def _about_execution(record: logging.LogRecord) -> Subject | None:
    """Return what a line about the end of an execution repeats; Celery logs it inside that execution."""
    data, scope = _data(record), _execution_around()
    if data is None or data.get("internal") or scope is None or scope.own["task.id"] != data.get("id"):
        return None
    if record.levelno < logging.ERROR and is_polling(scope.own["task.name"]):
        return Subject(True)  # our event said so at debug, and mostly was not printed
    return about_scope(scope)


@lines_of("celery.worker.request")
def _about_lost(record: logging.LogRecord) -> Subject | None:
    """Return what "Task handler raised error" repeats; the worker says it, in no scope, of a task whose process it lost."""
    return about_exception(record.args[0]) if isinstance(record.args, tuple) and record.args else None


def _execution_around() -> Scope | None:
    """Return the scope of the execution that is traced here, ``None`` if there is none."""
    scope = current_scope()
    while scope is not None and scope.kind is not TASK:
        scope = scope.outer if scope.kind is None else None  # a block of `bind_fields` that is still open
    return scope


def _ids(data: dict[str, Any]) -> dict[str, Any]:
    return {"task.id": data.get("id"), "task.name": data.get("name")}


def _data(record: logging.LogRecord) -> dict[str, Any] | None:
    """Return what Celery gives handlers to know a task by; ``None`` on its other lines."""
    data = record.__dict__.get("data")
    return data if isinstance(data, dict) and "id" in data else None
