"""Texts of results that a terminal and a page share."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ...rendering.terminal import printable
from ..model.layout import ID_FIELDS, Row
from ..model.scope import Scope
from ..reading.line import OWN_NAMES, Line, to_json

__all__ = [
    "Said",
    "block",
    "context",
    "cut_middle",
    "day_and_time",
    "describe",
    "length_text",
    "own_fields",
    "parts_of",
    "repeated_text",
    "short",
    "text",
    "time_text",
]

#: How scopes hang together, which the picture shows.
_SCOPE = frozenset({"scope.id", "scope.cause"})
#: What the lines of a scope have in common, and its heading says.
_COMMON = _SCOPE | {"request.id", "user.id", "labels", "ws.conn_id", "trace_id", "span_id", "command.name", "operation.name"}
_TASKS = frozenset({"task.id", "task.name"})
_QUIET = "completed"
_BLOCKS = ("exception", "stack")
#: Characters of a value in a list, and at most.
_SHORT, _LONG = 200, 20_000


def length_text(seconds: float) -> str:
    """Return a length of time as people say it: ``1.25 ms``, ``103.6 ms``, ``2.35 s``, ``4 m 05 s``, ``2 h 07 m``."""
    milliseconds = seconds * 1000
    if milliseconds < 9.995:
        return f"{milliseconds:.2f} ms"
    if milliseconds < 999.95:
        return f"{milliseconds:.1f} ms"
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} m" if hours < 48 else f"{hours // 24} d {hours % 24:02} h"


@dataclass(frozen=True)
class Said:
    """What there is to say about a row, in words.

    Attributes:
        label: what it is called: a request by its method and path, everything else by kind and name.
        where: where it ran, if there is more than one place.
        status: what came of it. Empty if all is as it should be and has no number.
        state: ``failed``, ``notable``, ``running``, or empty.
        took: how long it took, or that it is not over. Empty if that is not known.
        database: what it asked of the database, as ``31 queries · 84.0 ms``.
        notes: what else there is.
        ids: the ids that its kind of scope has.
    """

    label: str
    where: str
    status: str
    state: str
    took: str
    database: str
    notes: list[str]
    ids: list[str]

    @property
    def title(self) -> str:
        """Its label, with where it ran."""
        return f"{self.label} @{self.where}" if self.where else self.label

    @property
    def all_notes(self) -> list[str]:
        return [*filter(None, [self.database]), *self.notes]


def describe(row: Row) -> Said:
    """Return what there is to say about *row*."""
    scope = row.scope
    state = "running" if scope.running else "failed" if scope.failed else "notable" if scope.notable else ""
    took = f"{'~' if scope.shift else ''}{length_text(row.duration)}" if scope.closing is not None or row.duration else ""
    notes = [f"{length_text(row.start - row.queued)} in the queue"] if row.start > row.queued else []
    notes += [f"moved by {length_text(scope.shift)}: its clock is behind"] if scope.shift else []
    return Said(
        label=_label(scope),
        where=row.service,
        status="" if scope.status == _QUIET else scope.status,
        state=state,
        took=scope.status if scope.running else took,
        database=_database(scope),
        notes=notes,
        ids=[f"{name} {found}" for name in ID_FIELDS.get(scope.kind, ()) if (found := scope.field(name)) is not None],
    )


def _label(scope: Scope) -> str:
    """Return a scope's kind and name. A task's attempts are numbered, and one that was delivered again says so."""
    kind = "" if scope.kind == "request" and scope.name else scope.kind
    attempt = f"#{scope.attempt + 1}" if scope.attempt else ""
    delivery = f"delivery {scope.delivery + 1}" if scope.delivery else ""
    return " ".join(part for part in (kind, scope.name, attempt, delivery) if part)


def _database(scope: Scope) -> str:
    queries, took = scope.number("db.query_count"), scope.number("db.duration_ms")
    if queries is None:
        return ""
    counted = f"{queries:.0f} {'query' if queries == 1 else 'queries'}"
    return counted if took is None else f"{counted} · {length_text(took / 1000)}"


def repeated_text(scope: Scope, width: int | None = None) -> str:
    """Return which statement a scope asked again and again, and how often, nothing if it did not.

    Args:
        scope: one whose closing event may say so.
        width: how many characters there is room for. ``None``: any number.
    """
    times = scope.number("db.repeat_count")
    if times is None:
        return ""
    said, statement = f"the same statement {times:.0f} times: ", str(scope.field("db.repeated_query") or "")
    return said + (statement if width is None else cut_middle(statement, max(width - len(said), 1)))


def day_and_time(seconds: float) -> str:
    """Return a time as ``2026-11-24 19:37:36.166``, in the local zone."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "milliseconds")[:23]


def time_text(seconds: float) -> str:
    """Return a time of day as ``19:37:36.166``, in the local zone."""
    return day_and_time(seconds)[11:]


def cut_middle(text: str, width: int) -> str:
    """Return *text* in no more than *width* characters: both ends.

    Of a path, a dotted name or a statement they tell more than the middle.
    """
    if len(text) <= width:
        return text
    end = (width - 1) * 2 // 3
    return f"{text[: width - 1 - end]}…{text[len(text) - end :]}"


def context(lines: Sequence[Line]) -> list[str]:
    """Return whom *lines* are about and what: ``user 42``, ``tournament 5``, ``draft 12``."""
    fields: dict[str, Any] = {}
    for line in reversed(lines):
        fields.update(line.fields)
    names = dict.fromkeys(["user", *(label for line in lines for label in line.labels)])
    with_ids = [(name, fields.get(f"{name}.id", "")) for name in names]
    return [f"{name} {value}".rstrip() for name, value in with_ids if name != "user" or value != ""]


def own_fields(line: Line) -> dict[str, Any]:
    """Return what *line* says besides what all lines of its scope say."""
    common = _COMMON if line.own_event == "task_published" else _COMMON | _TASKS
    ids = {f"{name}.id" for name in line.labels}
    return {key: value for key, value in line.fields.items() if key not in common and key not in ids}


def parts_of(line: Line) -> tuple[dict[str, Any], list[Any]]:
    """Return the fields that *line* has for itself, and its texts of several lines, which are shown as blocks."""
    fields = {key: value for key, value in own_fields(line).items() if key not in OWN_NAMES and key not in _BLOCKS}
    return fields, [line.fields[name] for name in _BLOCKS if name in line.fields]


def text(value: Any, most: int = _LONG) -> str:
    """Return *value* in one line of at most so many characters, with nothing in it that could turn or hide text."""
    said = value if isinstance(value, str) else to_json(value).decode()
    return printable(said if len(said) <= most else f"{said[:most]}…")


def short(value: Any) -> str:
    """Return *value* for a list."""
    return text(value, _SHORT)


def block(value: Any) -> str:
    """Return a text of several lines, such as a traceback."""
    said = value if isinstance(value, str) else text(value)
    return "\n".join(map(printable, said[:_LONG].split("\n")))
