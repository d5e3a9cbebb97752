"""Lines for the viewer, made by hand: as short to write as they are to read."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from dtx_telemetry.viewer.model.join import Life, join
from dtx_telemetry.viewer.reading.unwrap import Unwrapper

__all__ = ["BEGIN", "CLICK", "as_bytes", "life_of", "line", "outline", "read", "task_line"]

BEGIN = datetime(2026, 1, 15, 10, 23, 45, tzinfo=UTC)
CLICK = "9596ecf55c614a25b3a19596ecf55c61"
_LOGGERS = {
    "request": "http",
    "ws": "websocket",
    "task": "celery",
    "command": "commands",
    "operation": "operations",
    "db": "database",
}
Line = dict[str, Any]


def line(milliseconds: float, event: str, request_id: str | None = CLICK, level: str = "info", **fields: Any) -> Line:
    """Return a line, logged so many milliseconds after `BEGIN`.

    Args:
        milliseconds: may be negative.
        event: one of the library's has the library's logger, if *fields* name no other.
        request_id: ``None`` for a line without.
        level: of the line.
        fields: a double underscore stands for a point: ``task__id``.
    """
    part = _LOGGERS.get(event.partition("_")[0])
    logger = fields.pop("logger", f"dtx_telemetry.{part}" if part else "app")
    time = (BEGIN + timedelta(milliseconds=milliseconds)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    bound = {} if request_id is None else {"request.id": request_id}
    named = {name.replace("__", "."): value for name, value in fields.items()}
    return {"timestamp": time, "level": level, "logger": logger, "event": event, **named, **bound}


def task_line(milliseconds: float, event: str, task: str = "t1", name: str = "announce", **fields: Any) -> Line:
    """Return a line that a task logged, or that is about one."""
    return line(milliseconds, event, task__id=task, task__name=name, **fields)


def as_bytes(lines: Iterable[Line]) -> bytes:
    """Return *lines* as the library prints them."""
    return b"".join(json.dumps(each, separators=(",", ":"), ensure_ascii=False).encode() + b"\n" for each in lines)


def read(data: bytes) -> Unwrapper:
    """Return an unwrapper that has read *data*."""
    unwrapper = Unwrapper()
    list(unwrapper.read(data.split(b"\n")))
    return unwrapper


def life_of(*lines: Line) -> Life:
    """Join *lines*; no line may be in two scopes, and one with a ``request.id`` in none."""
    found = list(Unwrapper().read(as_bytes(lines).split(b"\n")))
    life = join(found)
    placed = [id(each) for scope in life.scopes() for each in scope.lines]
    assert len(placed) == len(set(placed))
    assert set(placed) == {id(each) for each in found if each.text("request.id")}
    return life


def outline(life: Life) -> list[str]:
    """Return *life* as indented text: kind, name, number of the attempt, what came of it."""
    shown = []
    waiting = [(root, 0) for root in reversed(life.roots)]
    while waiting:
        scope, depth = waiting.pop()
        number = f"#{scope.attempt}" if scope.attempt else ""
        shown.append("  " * depth + " ".join(part for part in (scope.kind, scope.name, number, scope.status) if part))
        waiting += [(child, depth + 1) for child in reversed(scope.children)]
    return shown
