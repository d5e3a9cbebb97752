"""What a list shows of a life, kept up to date line by line at a cost that does not grow with it."""

from collections.abc import Sequence
from typing import Any

from ..reading.line import Line
from .events import CLOSINGS, FAILURES, Kind
from .scope import request_name, status_of

__all__ = ["Summary", "summarize"]

#: Which kind of scope a life is named after, the first that it has.
_RANKS: dict[Kind, int] = {"request": 0, "command": 1, "operation": 2, "connection": 3, "task": 4, "message": 5, "": 6}
_MAX_OPEN = 1000
_BEGIN = {"task_published": "task", "task_started": "task", "ws_connected": "connection", "command_started": "command"}


class Summary:
    """The life of one ``request.id`` in short.

    Attributes:
        kind: of the scope that it is named after (see `Scope.kind`); empty while no line says so.
        name: of that scope; empty while no line says so.
        status: what came of it, in short; empty while it runs.
        duration: how long that took in seconds; ``None`` while it runs.
        failed: whether it ended in a failure.
        first: when it was first heard of, in seconds since the epoch.
        last: when it was last heard of.
        user: its user's id, ``None`` where there is none.
        labels: its labels.
        lines: how many lines it has.
        tasks: how many times a task was published in it.
        messages: how many handled messages it caused, where connections log them.
        errors: how many of its lines are of level error or critical.
    """

    __slots__ = (
        *("_closed", "_open", "_rank", "duration", "errors", "failed", "first", "kind", "labels", "last", "lines", "messages"),
        *("name", "status", "tasks", "user"),
    )

    def __init__(self, line: Line) -> None:
        self.first = self.last = line.time
        self.kind = self.name = self.status = ""
        self.duration: float | None = None
        self.failed = False
        self.user: Any = None
        self.labels: list[str] = []
        self.lines = self.tasks = self.messages = self.errors = 0
        self._rank = _RANKS[""]
        self._open: set[str] = set()
        self._closed = False
        self.take(line)

    @property
    def title(self) -> str:
        """What it is called, with what came of it."""
        kind = "" if self.kind == "request" and self.name else self.kind
        return " ".join(part for part in (kind, self.name, self.status) if part)

    @property
    def running(self) -> bool:
        """Whether something in it has begun, and not ended as far as is known."""
        return bool(self._open)

    def take(self, line: Line) -> None:
        """Count *line* in."""
        self.lines += 1
        self.first, self.last = min(self.first, line.time), max(self.last, line.time)
        fields, event = line.fields, line.own_event
        if self.user is None:
            self.user = fields.get("user.id")
        if not self.labels and isinstance(labels := fields.get("labels"), list):
            self.labels = [str(label) for label in labels]
        if line.level in FAILURES:
            self.errors += 1
        self.tasks += event == "task_published"
        self.messages += event == "ws_handled"
        self._name(line, event)

    def _name(self, line: Line, event: str) -> None:
        closing = CLOSINGS.get(event)
        kind = closing.kind if closing is not None else _BEGIN.get(event) or _kind_of(line)
        key = self._key(line, kind)
        if closing is None:
            self._begin(kind, key)
        elif closing.outcome != "retried":
            self._open.discard(key)
            self._closed = self._closed or key == ""
        rank = _RANKS[kind]
        if rank > self._rank or (rank == self._rank and (closing is None or (kind == "task" and self.status))):
            return
        self._rank, self.kind = rank, kind
        self.name, self.status, self.duration, self.failed = _name(kind, line), "", None, False
        if closing is not None:
            self._end(line)

    def _begin(self, kind: Kind, key: str) -> None:
        is_over = key == "" and self._closed
        if kind != "message" and not is_over and len(self._open) < _MAX_OPEN:
            self._open.add(key)

    def _end(self, line: Line) -> None:
        closing, status = CLOSINGS[line.event], status_of(line)
        self.status = closing.outcome if status is None else str(status)
        self.duration = line.duration
        self.failed = line.level in FAILURES

    @staticmethod
    def _key(line: Line, kind: Kind) -> str:
        """Return what tells scopes of a life apart that may be open at once."""
        return line.text("task.id") or "" if kind == "task" else line.text("ws.conn_id") or "" if kind == "connection" else ""


def summarize(lines: Sequence[Line]) -> Summary:
    """Return the summary of *lines*, of which there is at least one."""
    summary = Summary(lines[0])
    for line in lines[1:]:
        summary.take(line)
    return summary


def _kind_of(line: Line) -> Kind:
    """Return the kind of the scope that logged *line*, as far as its fields tell."""
    fields = line.fields
    if "task.id" in fields:
        return "task"
    if "ws.conn_id" in fields:
        return "message"
    return "command" if "command.name" in fields else "operation" if "operation.name" in fields else "request"


def _name(kind: Kind, line: Line) -> str:
    if kind == "request":
        return request_name(line)
    if kind == "connection":
        return ",".join(str(label) for label in labels) if isinstance(labels := line.fields.get("labels"), list) else ""
    return line.text("ws.message_type" if kind == "message" else f"{kind}.name") or ""
