"""What requests, tasks and messages are grouped by: a name in which nothing is an id."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

__all__ = ["name_of", "place_of", "route_of"]

# Numbers, UUIDs and what else is long and hexadecimal, with or without a format suffix.
_ID = re.compile(r"^(?:\d+|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{16,})(?=\.\w+$|$)")
#: The fields that each kind of scope is grouped by, the first that there is; a request's route is made of several.
_NAMES = {
    "task": ("task.name",),
    "message": ("ws.message_type",),
    "connection": ("ws.consumer", "labels"),
    "command": ("command.name",),
    "operation": ("operation.name",),
}


def name_of(kind: str, fields: Mapping[str, Any]) -> str:
    """Return the name that a scope of *kind* with such a closing event is grouped by."""
    if kind == "request":
        return route_of(fields)
    for name in _NAMES[kind]:
        value = fields.get(name)
        if value:
            return value if type(value) is str else ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return route_of(fields) if kind == "connection" else ""


def route_of(fields: Mapping[str, Any]) -> str:
    """Return a request's method and route: the pattern that matched if the event has it, else its path without ids."""
    get = fields.get
    method, route, path = get("http.method"), get("http.route"), get("url.path")
    try:
        return _route(method if method is not None else get("http.request.method"), route, path)
    except TypeError:  # something else than text, which an application may log
        return _route(str(method), str(route), str(path))


def place_of(fields: Mapping[str, Any]) -> str:
    """Return what logged a line: its task, command, operation or route, else its logger."""
    for kind in ("task", "command", "operation"):
        if isinstance(name := fields.get(f"{kind}.name"), str):
            return f"{kind} {name}"
    return str(fields.get("ws.consumer") or route_of(fields) or fields["logger"])


@lru_cache(maxsize=65536)
def _route(method: object, route: object, path: object) -> str:
    if path is not None and route:
        named = str(route)
    else:
        named = "/".join([_ID.sub("{id}", part) for part in str(path or route or "").split("/")])
    return f"{method} {named}" if method else named
