"""``list``: one row for each request, task, connection, operation and command."""

import heapq
from collections.abc import Callable
from typing import Any, NamedTuple

from ..model.scope import CLOSINGS, FAILURES, OPENINGS, called, kind_of, status_of
from ..query import Query, write_json
from ..reading.filters import Filters
from ..reading.line import Line

__all__ = ["SORTS", "Row", "run"]

#: All lines of our own have this in them.
_TEXTS = (b'"dtx_telemetry',)
#: Scopes that have begun and not ended; of more than these the oldest are let go.
_MOST_OPEN = 100_000
#: Kinds that have an event at their beginning.
_OPENED = frozenset(event.kind for event in OPENINGS.values())
_KINDS = frozenset({"request", "task", "connection", "operation", "command"})


class Row(NamedTuple):
    """One scope.

    Attributes:
        closing: its closing event, or the event that opened it if it runs.
        queued: milliseconds that a task waited.
    """

    closing: Line
    queued: float | None

    @property
    def running(self) -> bool:
        return self.closing.event not in CLOSINGS

    @property
    def kind(self) -> str:
        return kind_of(self.closing)

    @property
    def start(self) -> float:
        return self.closing.time - (self.closing.duration or 0.0)

    @property
    def failed(self) -> bool:
        return not self.running and self.closing.level in FAILURES

    def as_json(self) -> dict[str, Any]:
        closing = self.closing
        status = status_of(closing)
        return {
            "start": self.start,
            "kind": self.kind,
            "name": called(self.kind, closing),
            "status": "running" if self.running else CLOSINGS[closing.event].outcome if status is None else str(status),
            "failed": self.failed,
            "duration_ms": closing.number("duration_ms"),
            "queue_ms": self.queued,
            "queries": closing.number("db.query_count"),
            "database_ms": closing.number("db.duration_ms"),
            "user.id": closing.fields.get("user.id"),
            "service": closing.service or None,
            "request.id": closing.request_id,
        }


def _milliseconds(row: Row, name: str) -> float:
    return row.closing.number(name) or 0.0


#: What rows may be sorted by, the largest first.
SORTS: dict[str, Callable[[Row], float]] = {
    "start": lambda row: row.start,
    "duration": lambda row: _milliseconds(row, "duration_ms"),
    "queue": lambda row: row.queued or 0.0,
    "queries": lambda row: _milliseconds(row, "db.query_count"),
    "database": lambda row: _milliseconds(row, "db.duration_ms"),
}


class _Listing:
    """Makes rows of lines, and keeps the first *limit* by *sort*."""

    def __init__(self, sort: str, limit: int) -> None:
        self._key = SORTS[sort]
        self._limit = limit
        self._kept: list[tuple[float, int, Row]] = []
        self._open: dict[object, Line] = {}
        self._executions: dict[str | None, dict[object, None]] = {}
        self.count = 0

    def take(self, line: Line) -> Row | None:
        """Return the row that *line* ends, if it does."""
        event = line.own_event
        if event in OPENINGS:
            key = scope_key(line)
            self._open[key] = line
            self._executions.setdefault(line.text("task.id"), {})[key] = None
            if len(self._open) > _MOST_OPEN:
                self._forget(next(iter(self._open)))
            return None
        closing = CLOSINGS.get(event)
        if closing is None or closing.kind not in _KINDS:
            return None
        opened = self._forget(scope_key(line)) if closing.kind in _OPENED else None
        if opened is None and closing.kind == "task" and (begun := self._executions.get(line.text("task.id"))):
            opened = self._forget(next(iter(begun)))  # a worker's report about what was killed
        return Row(line, None if opened is None else opened.number("task.queue_ms"))

    def _forget(self, key: object) -> Line | None:
        line = self._open.pop(key, None)
        if line is not None:
            task_id = line.text("task.id")
            del self._executions[task_id][key]
            if not self._executions[task_id]:
                del self._executions[task_id]
        return line

    def running(self) -> list[Row]:
        """Return the rows of what has begun, and not ended."""
        return [Row(line, line.number("task.queue_ms")) for line in self._open.values()]

    def keep(self, row: Row) -> None:
        self.count += 1
        item = (self._key(row), -self.count, row)
        if len(self._kept) < self._limit:
            heapq.heappush(self._kept, item)
        elif self._limit:
            heapq.heappushpop(self._kept, item)

    def rows(self) -> list[Row]:
        return [row for *_, row in sorted(self._kept, key=lambda item: item[:2], reverse=True)]


def scope_key(line: Line) -> object:
    """Return what the lines of one scope share."""
    scope_id = line.text("scope.id")
    return (line.request_id, scope_id or line.text("task.id") or line.text("ws.conn_id") or kind_of(line))


def run(query: Query, *, sort: str = "start", limit: int = 50, as_json: bool = False) -> int:
    """Show rows, the latest or largest first.

    Args:
        query: where to look; a row is wanted if its lines together meet the filters.
        sort: see `SORTS`.
        limit: how many rows at most.
        as_json: print them for programs.
    """
    listing = _Listing(sort, limit)
    with query.reading() as reading:
        if query.filters.any:
            _list_filtered(listing, reading.lines(filtered=False), query.filters)
        else:
            for line in reading.lines(_TEXTS):
                row = listing.take(line)
                if row is not None:
                    listing.keep(row)
            for row in listing.running():
                listing.keep(row)
    rows = listing.rows()
    fitting = f" that fits {query.filters.text.replace('{', '{{').replace('}', '}}')}" if query.filters.any else ""
    if as_json:
        write_json([_shown(row) for row in rows])
    elif rows:
        from ..show.tables import show_list

        show_list([row.as_json() for row in rows], listing.count)
    return reading.end(found=bool(rows), nothing="none of {lines} ends a request, task or connection" + fitting)


def _list_filtered(listing: _Listing, lines: Any, filters: Filters) -> None:
    """Keep the rows that are wanted by any of their lines, so all lines are looked at."""
    masks: dict[object, int] = {}
    rows: dict[object, Row] = {}
    for line in lines:
        key = scope_key(line)
        mask = filters.mask(line)
        if mask:
            masks[key] = masks.get(key, 0) | mask
        row = listing.take(line)
        if row is not None:
            rows[key] = row
    rows |= {scope_key(row.closing): row for row in listing.running()}
    for key, row in rows.items():
        if filters.holds(masks.get(key, 0)):
            listing.keep(row)


def _shown(row: Row) -> dict[str, Any]:
    from ..show.text import iso_time

    return {**row.as_json(), "start": iso_time(row.start)}
