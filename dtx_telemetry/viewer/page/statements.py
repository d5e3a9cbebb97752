"""What a scope asked the database, as far as lines tell."""

from typing import Any

from ..model.layout import Row
from ..model.scope import Scope
from ..reading.line import Line
from ..show.text import short, text

__all__ = ["EVENT", "about_queries", "marks", "statements"]

#: The event of a line about one query.
EVENT = "db_queried"
_MOST_MARKS = 500
_MOST_STATEMENTS = 500
#: Parts of the waterfall's length, of which each has one mark at most.
_PARTS = 4000


def about_queries(row: Row) -> dict[str, Any] | None:
    """Return how many queries a scope made and how long they took. ``None`` if it made none."""
    scope, found = row.scope, row.scope.queries
    count, took, repeat = map(scope.number, ("db.query_count", "db.duration_ms", "db.repeat_count"))
    if count is None and not found:
        return None
    return {
        "count": len(found) if count is None else int(count),
        "took": sum(line.number("duration_ms") or 0.0 for line in found) if took is None else took,
        "repeat": None if repeat is None else int(repeat),
        "repeated": None if repeat is None else text(scope.field("db.repeated_query") or ""),
        "told": len(found),
    }


def marks(row: Row, length: float) -> list[list[float]]:
    """Return when queries began and ended, in milliseconds. Many at one place are one.

    Args:
        row: what made them.
        length: of the whole waterfall, in seconds.
    """
    found: dict[int, list[float]] = {}
    part = max(length / _PARTS, 1e-6)
    for start, end in row.queries:
        found.setdefault(int(start / part), [start * 1000, end * 1000])
    return [*found.values()][:_MOST_MARKS]


def statements(scope: Scope, begin: float) -> dict[str, Any]:
    """Return the queries of *scope* in their order, and grouped by their text, those that took longest first."""
    found = scope.queries
    groups: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(found, 1):
        said, took = _said(line), line.number("duration_ms") or 0.0
        group = groups.setdefault(said, {"text": said, "count": 0, "took": 0.0, "most": 0.0, "first": number})
        group["count"] += 1
        group["took"] += took
        group["most"] = max(group["most"], took)
    return {
        "groups": sorted(groups.values(), key=lambda group: -float(group["took"]))[:_MOST_STATEMENTS],
        "each": [_statement(line, begin) for line in found[:_MOST_STATEMENTS]],
        "more": max(len(found) - _MOST_STATEMENTS, 0),
    }


def _statement(line: Line, begin: float) -> dict[str, Any]:
    took = line.number("duration_ms") or 0.0
    others = {name: line.fields.get(name) for name in ("db.alias", "db.rows", "db.operation.batch.size", "error")}
    if others["db.alias"] == "default":
        del others["db.alias"]
    return {
        "at": (line.time - begin) * 1000 - took,
        "took": took,
        "text": _said(line),
        "about": [f"{name} {short(value)}" for name, value in others.items() if value is not None],
    }


def _said(line: Line) -> str:
    return text(line.fields.get("db.query.text", ""))
