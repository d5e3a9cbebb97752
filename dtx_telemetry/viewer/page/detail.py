"""One life for the browser: the rows of its waterfall, and the lines of those that are open."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..model.layout import Row, Waterfall, lay_out
from ..model.store import Entry
from ..reading.line import Line
from ..show.text import block, context, describe, parts_of, short, text
from .search import Search
from .statements import EVENT, about_queries, marks, statements

__all__ = ["Asked", "detail", "line_as_json"]

#: Lines of one scope, and of a whole life: what is older is counted, and not shown.
_MOST_LINES = 1000
_MOST_ROWS = 2000


@dataclass(frozen=True)
class Asked:
    """What a browser wants to see of a life.

    Attributes:
        open: keys of the rows whose lines are shown below them.
        queries: the key of the row whose queries are shown.
        search: what is looked for in it.
    """

    open: Collection[str] = ()
    queries: str = ""
    search: Search | None = None

    def hits(self, row: Row) -> bool:
        """Return whether the row's name, or one of its lines, is what is looked for."""
        return self.search is not None and (
            self.search.names(describe(row).label) or any(map(self.search.line_fits, row.scope.lines))
        )


def detail(entry: Entry, asked: Asked | None = None) -> dict[str, Any]:
    """Return the waterfall of *entry*. Times are milliseconds after its beginning."""
    asked = asked or Asked()
    waterfall = lay_out(entry.life())
    life, begin = waterfall.life, waterfall.begin
    rows = dict(_with_keys(waterfall.rows[:_MOST_ROWS]))
    places = {id(row.scope): place for place, row in enumerate(rows.values())}
    lines = [line for line in life.lines if line.own_event != EVENT]
    return {
        "id": entry.request_id,
        "version": entry.version,
        "begin": begin * 1000,
        "length": waterfall.length * 1000,
        "about": [short(part) for part in context(life.lines)],
        "traces": [short(trace_id) for trace_id in life.values("trace_id")[:5]],
        "rows": [_row(key, row, places, waterfall, asked) for key, row in rows.items()],
        "more": len(waterfall.rows) - len(rows),
        "lines": _lines(lines, waterfall, rows.values(), asked),
        "dropped": entry.dropped + max(len(lines) - _MOST_LINES, 0),
        "searched": asked.search is not None,
        "statements": statements(rows[asked.queries].scope, begin) if asked.queries in rows else None,
    }


def _with_keys(rows: Iterable[Row]) -> Iterable[tuple[str, Row]]:
    """Return each row with a name that stays as the life grows."""
    taken: set[str] = set()
    for number, row in enumerate(rows):
        key = row.scope.id or str(number)
        if key in taken:
            key = f"{key}-{number}"
        taken.add(key)
        yield key, row


def _lines(lines: Sequence[Line], waterfall: Waterfall, rows: Iterable[Row], asked: Asked) -> list[dict[str, Any]]:
    place_of = {id(line): place for place, row in enumerate(rows) for line in row.scope.lines}
    shown = [line for line in lines if asked.search is None or asked.search.line_fits(line)][-_MOST_LINES:]
    return [line_as_json(line, waterfall.begin, place_of.get(id(line), -1)) for line in shown]


def _row(key: str, row: Row, places: dict[int, int], waterfall: Waterfall, asked: Asked) -> dict[str, Any]:
    scope, said = row.scope, describe(row)
    own = [line for line in scope.lines if line.own_event != EVENT]
    return {
        "key": key,
        "parent": places.get(id(scope.parent), -1) if scope.parent is not None else -1,
        "kind": scope.kind,
        "label": short(said.label),
        "status": short(said.status),
        "state": said.state,
        "depth": row.depth,
        "queued": row.queued * 1000,
        "start": row.start * 1000,
        "end": row.end * 1000,
        "last": max((line.time for line in scope.lines), default=scope.end) * 1000,
        "known": scope.closing is not None or row.duration > 0,
        "notes": [*said.notes, *map(short, said.ids)],
        "error": None if scope.error is None else text(scope.error),
        "service": short(said.where),
        "queries": about_queries(row),
        "marks": marks(row, waterfall.length),
        "hit": asked.hits(row),
        "lines": [line_as_json(line, waterfall.begin) for line in own[-_MOST_LINES:]] if key in asked.open else None,
        "hidden": max(len(own) - _MOST_LINES, 0),
    }


def line_as_json(line: Line, begin: float = 0.0, row: int = -1) -> dict[str, Any]:
    """Return a line as the page shows it, its time in milliseconds after *begin*."""
    fields, blocks = parts_of(line)
    return {
        "row": row,
        "at": (line.time - begin) * 1000,
        "level": short(line.level),
        "event": text(line.event),
        "logger": short(line.fields["logger"]),
        "service": short(line.service),
        "fields": [[short(key), text(value)] for key, value in fields.items()],
        "blocks": [block(found) for found in blocks],
    }
