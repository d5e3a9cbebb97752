"""How long everything takes, by route, task, consumer and operation."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from ..reading.filters import text_of
from ..reading.line import Line
from .routes import name_of, route_of
from .scope import CLOSINGS, FAILURES
from .strip import Strip

__all__ = ["DURATION_TEXTS", "Durations"]

#: All lines that tell a duration have this in them: ``duration_ms``, ``task.queue_ms``.
DURATION_TEXTS = (b"_ms",)
_NUMBERS = (float, int)
_KINDS = {name: event.kind or "" for name, event in CLOSINGS.items()}
_SHARES = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99, "max_ms": 1.0}


def _array() -> "array[float]":
    return array("d")


@dataclass
class _Group:
    """What took its time under one name; times are in milliseconds."""

    kind: str
    name: str
    by: str
    durations: "array[float]" = field(default_factory=_array)
    queued: "array[float]" = field(default_factory=_array)
    queries: "array[float]" = field(default_factory=_array)
    database: "array[float]" = field(default_factory=_array)
    errors: int = 0
    longest: float = -1.0
    slowest: str | None = None

    def as_json(self) -> dict[str, Any]:
        durations, queued = sorted(self.durations), sorted(self.queued)
        return {
            "kind": self.kind,
            "name": self.name,
            "by": self.by,
            "count": len(durations),
            "errors": self.errors,
            **{name: _percentile(durations, share) for name, share in _SHARES.items()},
            "queue_p50_ms": _percentile(queued, 0.5),
            "queue_p95_ms": _percentile(queued, 0.95),
            "queries_p95": _percentile(sorted(self.queries), 0.95),
            "database_p95_ms": _percentile(sorted(self.database), 0.95),
            "slowest": self.slowest,
        }


class Durations:
    """Takes lines, and groups what they tell.

    Args:
        by: a field that groups are made by as well, such as ``service``; empty for none.

    Attributes:
        strip: how many scopes ended over time, and how many in a failure.
    """

    def __init__(self, by: str = "") -> None:
        self.strip = Strip()
        self._by = by
        self._groups: dict[tuple[str, str, str], _Group] = {}

    def take(self, line: Line) -> None:
        """Count *line*, if it tells a duration. Written out, since this is done for every one of millions."""
        fields = line.fields
        kind = _KINDS.get(fields["event"])
        if kind is None:
            if line.own_event == "task_started" and (waited := line.number("task.queue_ms")) is not None:
                self._group(line, "task").queued.append(waited)
            return
        took: Any = fields.get("duration_ms")
        if type(took) not in _NUMBERS or not fields["logger"].startswith("dtx_telemetry"):
            return
        group, failed = self._group(line, kind), fields["level"] in FAILURES
        group.durations.append(took)
        if failed:
            group.errors += 1
        if took > group.longest:
            group.longest, group.slowest = took, line.request_id
        if type(fields.get("db.query_count")) is int:
            group.queries.append(fields["db.query_count"])
            group.database.append(line.number("db.duration_ms") or 0.0)
        self.strip.take(fields["timestamp"], failed=failed)

    def rows(self) -> list[dict[str, Any]]:
        """Return the groups, the slowest first, and connections last: how long a browser stayed open is nobody's slowness."""
        rows = [group.as_json() for group in self._groups.values() if group.durations]
        return sorted(rows, key=lambda row: (row["kind"] == "connection", -(row["p95_ms"] or 0.0)))

    def _group(self, line: Line, kind: str) -> _Group:
        name = route_of(line.fields) if kind == "request" else name_of(kind, line.fields)
        key = (kind, name, text_of(line, self._by) if self._by else "")
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(*key)
        return group


def _percentile(values: Sequence[float], share: float) -> float | None:
    """Return the value that *share* of the sorted *values* do not exceed, ``None`` if there are none."""
    return values[max(ceil(share * len(values)) - 1, 0)] if values else None
