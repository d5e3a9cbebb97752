"""One life for the browser: the rows of its waterfall, and its lines."""

from typing import Any

from ..model.layout import ID_FIELDS, Row, lay_out
from ..model.scope import Scope
from ..model.store import Entry
from ..reading.line import OWN_NAMES, Line
from ..show.text import context, label, notes, own_fields, status_text
from .values import block, short, text

__all__ = ["detail"]

_BLOCKS = ("exception", "stack")
#: Lines of one scope: what is older is counted, and not shown.
_MOST_LINES = 500
_MOST_ROWS = 1000


def detail(entry: Entry) -> dict[str, Any]:
    """Return the waterfall of *entry*; times are milliseconds after its beginning."""
    waterfall = lay_out(entry.life())
    life, begin = waterfall.life, waterfall.begin
    rows = waterfall.rows[:_MOST_ROWS]
    lines = [_line(line, number, begin) for number, row in enumerate(rows) for line in row.scope.lines[-_MOST_LINES:]]
    lines.sort(key=lambda line: float(line["at"]))
    earlier = sum(max(len(row.scope.lines) - _MOST_LINES, 0) for row in rows)
    return {
        "id": entry.request_id,
        "version": entry.version,
        "begin": begin * 1000,
        "length": waterfall.length * 1000,
        "about": [short(part) for part in context(life.lines)],
        "traces": [short(trace_id) for trace_id in life.values("trace_id")[:5]],
        "rows": [_row(row) for row in rows],
        "more": len(waterfall.rows) - len(rows),
        "lines": lines,
        "dropped": entry.dropped + earlier,
    }


def _row(row: Row) -> dict[str, Any]:
    scope = row.scope
    return {
        "kind": scope.kind,
        "label": short(label(scope)),
        "status": short(status_text(scope)),
        "state": _state(scope),
        "depth": row.depth,
        "queued": row.queued * 1000,
        "start": row.start * 1000,
        "end": row.end * 1000,
        "last": max((line.time for line in scope.lines), default=scope.end) * 1000,
        "known": scope.closing is not None or row.duration > 0,
        "notes": [*notes(row), *_ids(scope)],
        "error": None if scope.error is None else text(scope.error),
    }


def _state(scope: Scope) -> str:
    if scope.running:
        return "running"
    return "failed" if scope.failed else "notable" if scope.notable else ""


def _ids(scope: Scope) -> list[str]:
    found = ((name, scope.field(name)) for name in ID_FIELDS.get(scope.kind, ()))
    return [f"{name} {short(value)}" for name, value in found if value is not None]


def _line(line: Line, row: int, begin: float) -> dict[str, Any]:
    fields = {key: value for key, value in own_fields(line).items() if key not in OWN_NAMES and key not in _BLOCKS}
    return {
        "row": row,
        "at": (line.time - begin) * 1000,
        "level": short(line.level),
        "event": text(line.event),
        "logger": short(line.fields["logger"]),
        "fields": [[short(key), text(value)] for key, value in fields.items()],
        "blocks": [block(line.fields[name]) for name in _BLOCKS if name in line.fields],
    }
