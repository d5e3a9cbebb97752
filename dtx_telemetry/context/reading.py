"""What holds here: the fields of every line, the request's id, and what a message takes along."""

from collections.abc import Collection
from typing import Any

from . import binding
from .scope import current

__all__ = ["bound", "get_request_id", "outgoing_fields"]


def bound() -> dict[str, Any]:
    """Return everything that is bound here, the application's own included, as a new dict.

    The own fields of the current scope are part of it even after ``structlog.contextvars.clear_contextvars()``, which
    structlog's guide tells applications to call at the start of a request.
    """
    fields, scope = binding.bound(), current.get()
    return fields if scope is None or scope.own.keys() <= fields.keys() else {**scope.own, **fields}


def get_request_id() -> str | None:
    """Return the ``request.id`` of here, or ``None`` where there is none.

    .. versionadded:: 0.1.0
    """
    value = binding.bound_request_id()
    if value is None and (scope := current.get()) is not None:
        value = scope.own.get("request.id")
    return value


def outgoing_fields(keys: Collection[str] | None = None) -> dict[str, Any]:
    """Return what a message published here takes along, as a new dict.

    That is what the scopes bound. What the process had bound before its outermost scope stays at home, and so does ``task.*``:
    a message of Celery's names its parent task itself.

    Args:
        keys: only these travel, besides ``request.id``; ``None``: all of them.
    """
    fields = binding.bound_but_tasks()
    scope = current.get()
    if scope is not None and not scope.own.keys() <= fields.keys():
        fields = {key: value for key, value in scope.own.items() if not key.startswith("task.")} | fields
    if keys is not None:
        fields = {key: value for key, value in fields.items() if key in keys or key == "request.id"}
    if scope is None or not scope.base:
        return fields
    base = scope.base
    return {key: value for key, value in fields.items() if key not in base or base[key] is not value}
