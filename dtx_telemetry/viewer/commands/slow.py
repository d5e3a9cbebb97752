"""``slow``: how long everything takes."""

import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import orjson

from ..model.events import CLOSINGS, FAILURES
from ..model.routes import route_of
from ..progress import watched
from ..query import Query, code, say, say_foreign
from ..reading.line import OURS, Line
from ..reading.search import find_lines
from ..reading.unwrap import Unwrapper

__all__ = ["Group", "group_durations", "run"]

#: All lines that tell a duration have this in them: ``duration_ms``, ``task.queue_ms``.
_TEXTS = (b"_ms",)
_NUMBERS = (float, int)
#: The field that each kind of scope is grouped by; a request's route is made of several.
_NAMES = {
    "task": "task.name",
    "message": "ws.message_type",
    "connection": "labels",
    "command": "command.name",
    "operation": "operation.name",
}


@dataclass
class Group:
    """What took its time under one name.

    Attributes:
        durations: in milliseconds.
        queued: how long tasks waited, in milliseconds.
        errors: how many ended in a failure.
    """

    kind: str
    name: str
    durations: "array[float]" = field(default_factory=lambda: array("d"))
    queued: "array[float]" = field(default_factory=lambda: array("d"))
    errors: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return count, errors and percentiles; milliseconds all."""
        durations, queued = sorted(self.durations), sorted(self.queued)
        shares = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99, "max_ms": 1.0}
        return {
            "kind": self.kind,
            "name": self.name,
            "count": len(durations),
            "errors": self.errors,
            **{name: _percentile(durations, share) for name, share in shares.items()},
            "queue_p50_ms": _percentile(queued, 0.5),
            "queue_p95_ms": _percentile(queued, 0.95),
        }


def run(query: Query, *, as_json: bool = False) -> int:
    """Show the slowest groups first, and connections last: how long a browser stayed open is nobody's slowness."""
    unwrapper = Unwrapper()
    with query.inputs() as inputs:
        lines = find_lines(watched(inputs), _TEXTS, unwrapper)
        groups = group_durations(query.filters.of(lines))
    say_foreign(unwrapper)
    results = [group.as_json() for group in groups]
    results.sort(key=lambda result: (result["kind"] == "connection", -(result["p95_ms"] or 0.0)))
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(results, option=orjson.OPT_INDENT_2) + b"\n")
    elif results:
        from ..show.tables import show_slow

        show_slow(results)
    else:
        say("no line tells how long anything took")
    return code(inputs, found=bool(results))


def group_durations(lines: Iterable[Line]) -> list[Group]:
    """Return the groups of *lines*, in the order in which they come up."""
    groups: dict[tuple[str, str], Group] = {}
    for line in lines:
        fields = line.fields
        closing = CLOSINGS.get(fields["event"])
        # Asked here and not of the line, since this is done for every one of millions.
        if closing is not None and fields["logger"].startswith(OURS):
            took: Any = fields.get("duration_ms")
            if type(took) in _NUMBERS:
                group = _group(groups, closing.kind, fields)
                group.durations.append(took)
                group.errors += fields["level"] in FAILURES
        elif closing is None and line.own_event == "task_started" and (waited := line.number("task.queue_ms")) is not None:
            _group(groups, "task", fields).queued.append(waited)
    return [group for group in groups.values() if group.durations]


def _group(groups: dict[tuple[str, str], Group], kind: str, fields: Mapping[str, Any]) -> Group:
    name = route_of(fields) if kind == "request" else fields.get(_NAMES[kind]) or ""
    if type(name) is not str:
        name = ",".join(map(str, name)) if isinstance(name, list) else str(name)
    group = groups.get((kind, name))
    if group is None:
        group = groups[kind, name] = Group(kind, name)
    return group


def _percentile(values: Sequence[float], share: float) -> float | None:
    """Return the value that *share* of the sorted *values* do not exceed, ``None`` where there are none."""
    return values[max(ceil(share * len(values)) - 1, 0)] if values else None
