"""What holds here: the fields of every line, and the request's id."""

from typing import Any

from . import binding
from .scope import current

__all__ = ["bound", "get_request_id"]


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
