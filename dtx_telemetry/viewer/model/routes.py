"""What requests, tasks and messages are grouped by: a name in which nothing is an id."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

__all__ = ["place_of", "route_of"]

# Numbers, UUIDs and what else is long and hexadecimal, with or without a format suffix.
_ID = re.compile(r"^(?:\d+|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{16,})(?=\.\w+$|$)")


def route_of(fields: Mapping[str, Any]) -> str:
    """Return a request's method and route: the pattern that matched where the event has it, else its path without ids."""
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
    return route_of(fields) or str(fields["logger"])


@lru_cache(maxsize=65536)
def _route(method: object, route: object, path: object) -> str:
    if path is not None and route:
        named = str(route)
    else:
        named = "/".join([_ID.sub("{id}", part) for part in str(path or route or "").split("/")])
    return f"{method} {named}" if method else named
