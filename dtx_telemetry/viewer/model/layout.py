"""The rows of a waterfall: each scope with its place on the axis, for whatever draws it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..reading.line import Line, iso_time
from .join import Life
from .scope import Scope

__all__ = ["ID_FIELDS", "Row", "Waterfall", "lay_out"]

#: The id that each kind of scope has besides its ``request.id``.
ID_FIELDS = {"task": ("task.id",), "connection": ("ws.conn_id",), "message": ("ws.conn_id",)}

#: What a closing event says of the database.
_DATABASE = ("db.query_count", "db.duration_ms", "db.repeat_count", "db.repeated_query")


@dataclass(frozen=True)
class Row:
    """One scope's bar. Times are seconds after the waterfall's beginning.

    Attributes:
        depth: 0 for a root.
        queued: when its time in the queue began, the same as `start` where there was none.
        start: when it began to run.
        end: when it ended, or was last heard of.
        last: for the row and each above it but the root, whether it is the last one of its parent's.
        service: where it ran, if not everything ran in one place.
        queries: when each query of the database began and ended, if lines tell.
    """

    scope: Scope
    depth: int
    queued: float
    start: float
    end: float
    last: tuple[bool, ...]
    service: str = ""
    queries: Sequence[tuple[float, float]] = ()

    @property
    def duration(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class Waterfall:
    """All rows of a life.

    Attributes:
        begin: its beginning, in seconds since the epoch.
        length: seconds from there to its end.
    """

    life: Life
    rows: Sequence[Row]
    begin: float
    length: float

    def as_json(self, match: Callable[[Line], bool] = lambda _: True) -> dict[str, Any]:
        """Return it as plain data, with the lines of each scope for which *match* holds."""
        return {
            "request.id": self.life.values("request.id"),
            "trace_id": self.life.values("trace_id"),
            "start": iso_time(self.begin),
            "duration_ms": _milliseconds(self.length),
            "scopes": _rows_as_json(self.rows, match),
        }


def lay_out(life: Life) -> Waterfall:
    """Return the waterfall of *life*."""
    found: list[tuple[Scope, tuple[bool, ...]]] = []
    waiting: list[tuple[Scope, tuple[bool, ...]]] = [(root, ()) for root in reversed(life.roots)]
    while waiting:
        scope, last = waiting.pop()
        found.append((scope, last))
        below = [(child, (*last, child is scope.children[-1])) for child in scope.children]
        waiting += reversed(below)
    begin = max(min((scope.start + scope.shift - scope.queued for scope, _ in found), default=0.0), 0.0)
    end = max((scope.end + scope.shift for scope, _ in found), default=0.0)
    is_one = len({service for scope, _ in found if (service := scope.service)}) < 2
    return Waterfall(
        life, [_row(scope, last, begin, "" if is_one else scope.service) for scope, last in found], begin, end - begin
    )


def _row(scope: Scope, last: tuple[bool, ...], begin: float, service: str) -> Row:
    base = begin - scope.shift
    start, end = scope.start - base, scope.end - base
    queries = [(line.time - (line.duration or 0.0) - base, line.time - base) for line in scope.queries]
    return Row(scope, len(last), max(start - scope.queued, 0.0), start, end, last, service, queries)


def _rows_as_json(rows: Sequence[Row], match: Callable[[Line], bool]) -> list[dict[str, Any]]:
    places = {id(row.scope): place for place, row in enumerate(rows)}
    return [{**_as_json(row, places), "lines": [line.fields for line in row.scope.lines if match(line)]} for row in rows]


def _as_json(row: Row, places: Mapping[int, int]) -> dict[str, Any]:
    scope = row.scope
    said = {name: scope.field(name) for name in (*ID_FIELDS.get(scope.kind, ()), "user.id", "labels")}
    said |= {name: scope.closing.fields.get(name) for name in _DATABASE} if scope.closing is not None else {}
    return {
        "kind": scope.kind,
        "name": scope.name,
        "status": scope.status,
        "outcome": scope.outcome,
        "failed": scope.failed,
        "error": scope.error,
        "parent": places.get(id(scope.parent)),
        "depth": row.depth,
        "start_ms": _milliseconds(row.start),
        "duration_ms": _milliseconds(row.duration),
        "queue_ms": _milliseconds(row.start - row.queued),
        "moved_ms": _milliseconds(scope.shift),
        "attempt": scope.attempt,
        "delivery": scope.delivery,
        "service": scope.service or None,
        "scope.id": scope.id or None,
        **{name: value for name, value in said.items() if value is not None},
    }


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
