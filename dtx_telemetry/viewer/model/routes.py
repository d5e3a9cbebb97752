"""What requests, tasks and messages are grouped by: a name in which nothing is an id."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

__all__ = ["name_of", "place_of"]

# Parts of a path that are numbers, UUIDs or what else is long and hexadecimal, with or without a format suffix.
_ID = re.compile(
    r"(?:(?<=/)|^)(?:\d+|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{16,})(?=(?:\.\w+)?(?:/|$))"
)
#: The fields that a route is made of.
_ROUTE = ("http.method", "http.request.method", "http.route", "url.path")
#: The fields that other kinds of scopes are grouped by, the first that there is; connections without any by their route.
_NAMES = {
    "task": ("task.name",),
    "message": ("ws.message_type",),
    "connection": ("ws.consumer", "labels"),
    "command": ("command.name",),
    "operation": ("operation.name",),
}


def name_of(kind: str, fields: Mapping[str, Any]) -> str:
    """Return the name that a scope of *kind* with such a closing event is grouped by."""
    for name in _NAMES.get(kind, ()):
        if value := fields.get(name):
            return value if type(value) is str else _text(value)
    if kind not in ("request", "connection"):
        return ""
    values = [*map(fields.get, _ROUTE)]
    try:
        return _route(*values)
    except TypeError:  # what an application logs may be something else than text
        return _route(*(value and _text(value) for value in values))


def place_of(fields: Mapping[str, Any]) -> str:
    """Return what logged a line: its task, command, operation or route, else its logger."""
    for kind in ("task", "command", "operation"):
        if isinstance(name := fields.get(f"{kind}.name"), str):
            return f"{kind} {name}"
    return str(fields.get("ws.consumer") or name_of("request", fields) or fields["logger"])


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


@lru_cache(maxsize=65536)
def _route(method: object, other_method: object, route: object, path: object) -> str:
    """Return a method and a route: the pattern that matched if the event has it, else its path without ids."""
    named = str(route) if path is not None and route else _ID.sub("{id}", str(path or route or ""))
    return f"{method or other_method} {named}" if method or other_method else named
