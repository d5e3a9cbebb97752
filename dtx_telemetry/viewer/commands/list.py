"""``list``: one row for each request, task, connection, operation and command."""

from collections.abc import Callable
from heapq import heappush, heapreplace
from typing import Any, NamedTuple

from ..model.scope import CLOSINGS, FAILURES, OPENINGS, called, kind_of, status_of
from ..query import OTHERS, Query, write_json
from ..reading.filters import Filters
from ..reading.line import Line, iso_time

__all__ = ["SORTS", "Row", "run"]

#: All lines of our own have this in them.
_TEXTS = (b'"dtx_telemetry',)
#: Scopes that have begun and not ended; of more than these the oldest are let go.
_MOST_OPEN = 100_000
#: The events that end a row or begin one, and the kinds of scopes that have an event at their beginning.
_EVENTS = {name: event for name, event in (CLOSINGS | OPENINGS).items() if event.kind != "message"}
_OPENED = frozenset(event.kind for event in OPENINGS.values())


class Row(NamedTuple):
    """One scope.

    Attributes:
        closing: its closing event, or the event that opened it if it runs.
        queued: milliseconds that a task waited.
    """

    closing: Line
    queued: float | None = None

    @property
    def start(self) -> float:
        """When it began, in seconds since the epoch."""
        return self.closing.time - (self.closing.duration or 0.0)

    def as_json(self) -> dict[str, Any]:
        closing, kind, status = self.closing, kind_of(self.closing), status_of(self.closing)
        ended = CLOSINGS.get(closing.event)
        return {
            "start": self.start,
            "kind": kind,
            "name": called(kind, closing),
            "status": str(status) if status is not None else "running" if ended is None else ended.outcome,
            "failed": ended is not None and closing.level in FAILURES,
            "duration_ms": closing.number("duration_ms"),
            "queue_ms": self.queued,
            "queries": closing.number("db.query_count"),
            "database_ms": closing.number("db.duration_ms"),
            "user.id": closing.fields.get("user.id"),
            "service": closing.service or None,
            "request.id": closing.request_id,
        }


#: What rows may be sorted by, the largest first.
SORTS: dict[str, Callable[[Row], float]] = {
    "start": lambda row: row.start,
    "duration": lambda row: row.closing.number("duration_ms") or 0.0,
    "queue": lambda row: row.queued or 0.0,
    "queries": lambda row: row.closing.number("db.query_count") or 0.0,
    "database": lambda row: row.closing.number("db.duration_ms") or 0.0,
}


class _Listing:
    """Makes rows of lines, and keeps the first *limit* by *sort*."""

    def __init__(self, sort: str, limit: int) -> None:
        self._key = SORTS[sort]
        self._limit = limit
        self._kept: list[tuple[float, int, Row]] = []
        self._open: dict[object, Line] = {}
        self._executions: dict[object, dict[object, None]] = {}
        self.count = 0

    def take(self, line: Line) -> Row | None:
        """Return the row that *line* ends, if it does."""
        event = _EVENTS.get(line.own_event)
        if event is None:
            return None
        if event.kind not in _OPENED:
            return Row(line)
        key = scope_key(line)
        if event.role == "opens":
            self._open[key] = line
            self._executions.setdefault(line.fields.get("task.id"), {})[key] = None
            if len(self._open) > _MOST_OPEN:
                self._forget(next(iter(self._open)))
            return None
        opened = self._forget(key)
        if opened is None and event.kind == "task" and (begun := self._executions.get(line.fields.get("task.id"))):
            opened = self._forget(next(iter(begun)))  # a worker's report about what was killed
        return Row(line, None if opened is None else opened.number("task.queue_ms"))

    def _forget(self, key: object) -> Line | None:
        line = self._open.pop(key, None)
        if line is not None:
            task_id = line.fields.get("task.id")
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
            heappush(self._kept, item)
        elif item > self._kept[0]:
            heapreplace(self._kept, item)

    def rows(self) -> list[Row]:
        """Return the rows that come first."""
        return [row for *_, row in sorted(self._kept, reverse=True)]


def scope_key(line: Line) -> object:
    """Return what the lines of one scope share."""
    scope_id = line.text("scope.id")
    return (line.request_id, scope_id or line.text("task.id") or line.text("ws.conn_id") or kind_of(line))


def run(query: Query, *, sort: str = "start", limit: int = 50, as_json: bool = False) -> int:
    """Show rows, the latest or largest first.

    Args:
        query: where to look. A row is wanted if its lines together meet the filters.
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
        write_json([{**row.as_json(), "start": iso_time(row.start)} for row in rows])
    elif rows:
        from ..show.tables import show_list

        show_list([row.as_json() for row in rows], listing.count, sort)
    return reading.end(found=bool(rows), nothing=f"none of {{lines}} ends a request, task or connection{fitting}{OTHERS}")


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
