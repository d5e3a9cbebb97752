"""What requests, tasks and messages are grouped by: a name in which nothing is an id."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

__all__ = ["place_of", "route_of"]

# Numbers, UUIDs and what else is long and hexadecimal, with or without a format suffix.
_ID = re.compile(r"(?:\d+|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{16,})(?=\.\w+$|$)")


def route_of(fields: Mapping[str, Any]) -> str:
    """Return a request's method and route: the pattern that matched where the event has it, else its path without ids."""
    method = fields.get("http.method") or fields.get("http.request.method") or ""
    path, route = fields.get("url.path"), fields.get("http.route") or ""
    if path is None:
        route = _without_ids(str(route))
    return f"{method} {route or _without_ids(str(path or ''))}".strip()


def place_of(fields: Mapping[str, Any]) -> str:
    """Return what logged a line: its task, command, operation or route, else its logger."""
    for kind in ("task", "command", "operation"):
        if isinstance(name := fields.get(f"{kind}.name"), str):
            return f"{kind} {name}"
    return route_of(fields) or str(fields["logger"])


@lru_cache(maxsize=65536)
def _without_ids(path: str) -> str:
    return "/".join([_ID.sub("{id}", segment) if _ID.match(segment) else segment for segment in path.split("/")])
