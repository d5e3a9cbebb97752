"""What leaves: the keys that travel with a message of Celery's or of a channel layer."""

from collections.abc import Collection
from typing import Any

from . import binding
from .scope import current

__all__ = ["outgoing_fields"]


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
