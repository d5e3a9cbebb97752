"""How long everything takes, by route, task, consumer and operation."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import ceil, floor, log10
from typing import Any

from ..reading.filters import text_of
from ..reading.line import Line
from .routes import name_of
from .scope import CLOSINGS, FAILURES
from .strip import Strip

__all__ = ["DURATION_TEXTS", "Durations", "Spread"]

#: All lines that tell a duration have this in them: ``duration_ms``, ``task.queue_ms``.
DURATION_TEXTS = (b"_ms",)
_NUMBERS = (float, int)
_KINDS = {name: event.kind or "" for name, event in CLOSINGS.items()}
_SHARES = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}


class Spread:
    """Numbers, and how often each came, in bounded memory: of too many different ones, three digits are kept."""

    _MOST = 10_000

    def __init__(self) -> None:
        self._counts: Counter[float] = Counter()
        self._latest: list[float] = []

    def take(self, number: float) -> None:
        self._latest.append(number)
        if len(self._latest) >= self._MOST:
            self._count()

    def _count(self) -> None:
        self._counts.update(self._latest)  # much faster than one by one
        self._latest.clear()
        if len(self._counts) > self._MOST:
            counts, self._counts = self._counts, Counter()
            for number, count in counts.items():
                self._counts[round(number, 2 - floor(log10(number))) if number > 0 else number] += count

    def total(self) -> int:
        """Return how many there are."""
        return len(self._latest) + self._counts.total()

    def percentiles(self, shares: Iterable[float]) -> list[float | None]:
        """Return for each of *shares*, the least first, the number that so many do not exceed. ``None`` if there is none."""
        self._count()
        total, below, number, found = self.total(), 0, None, []
        numbers = iter(sorted(self._counts))
        for share in shares:
            while below < ceil(share * total):
                number = next(numbers)
                below += self._counts[number]
            found.append(number)
        return found


@dataclass
class _Group:
    """What took its time under one name. Times are in milliseconds."""

    kind: str
    name: str
    by: str
    durations: Spread = field(default_factory=Spread)
    queued: Spread = field(default_factory=Spread)
    queries: Spread = field(default_factory=Spread)
    database: Spread = field(default_factory=Spread)
    errors: int = 0
    longest: float = -1.0
    slowest: str | None = None

    def as_json(self) -> dict[str, Any]:
        queue_p50, queue_p95 = self.queued.percentiles((0.5, 0.95))
        return {
            "kind": self.kind,
            "name": self.name,
            "by": self.by,
            "count": self.durations.total(),
            "errors": self.errors,
            **dict(zip(_SHARES, self.durations.percentiles(_SHARES.values()), strict=True)),
            "max_ms": self.longest,
            "queue_p50_ms": queue_p50,
            "queue_p95_ms": queue_p95,
            "queries_p95": self.queries.percentiles((0.95,))[0],
            "database_p95_ms": self.database.percentiles((0.95,))[0],
            "slowest": self.slowest,
        }


class Durations:
    """Takes lines, and groups what they tell.

    Args:
        by: a field that groups are made by as well, such as ``service``. Empty for none.

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
                self._group(line, "task").queued.take(waited)
            return
        took: Any = fields.get("duration_ms")
        if type(took) not in _NUMBERS or not line.own_event:
            return
        group, failed = self._group(line, kind), fields["level"] in FAILURES
        group.durations.take(took)
        if failed:
            group.errors += 1
        if took > group.longest:
            group.longest, group.slowest = took, line.request_id
        if type(fields.get("db.query_count")) is int:
            group.queries.take(fields["db.query_count"])
            group.database.take(line.number("db.duration_ms") or 0.0)
        self.strip.take(fields["timestamp"], failed=failed)

    def rows(self) -> list[dict[str, Any]]:
        """Return the groups, the slowest first, and connections last: how long a browser stayed open is nobody's slowness."""
        rows = [group.as_json() for group in self._groups.values() if group.durations.total()]
        return sorted(rows, key=lambda row: (row["kind"] == "connection", -(row["p95_ms"] or 0.0)))

    def _group(self, line: Line, kind: str) -> _Group:
        key = kind, name_of(kind, line.fields), text_of(line, self._by) if self._by else ""
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(*key)
        return group
