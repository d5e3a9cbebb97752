"""What a list shows of a life, kept up to date line by line at a cost that does not grow with it."""

from collections.abc import Sequence
from typing import Any

from ..reading.line import Line
from .scope import CLOSINGS, FAILURES, LINES, called, kind_of, status_of

__all__ = ["Summary", "summarize"]

#: Which kind of scope a life is named after, the first that it has.
_RANKS = {"request": 0, "command": 1, "operation": 2, "connection": 3, "task": 4, "message": 5, LINES: 6, "": 7}
_MAX_OPEN = 1000
_MAX_SERVICES = 8


class Summary:
    """The life of one ``request.id`` in short.

    Attributes:
        kind: of the scope that it is named after (see `Scope.kind`). Empty while no line says so.
        name: of that scope. Empty while no line says so.
        status: what came of it, in short. Empty while it runs.
        duration: how long that took in seconds. ``None`` while it runs.
        start: when that began, as far as is known.
        failed: whether it ended in a failure.
        queries: how many queries of the database it made. ``None`` if its closing event does not say.
        database: how long those took, in seconds, likewise.
        first: when it was first heard of, in seconds since the epoch.
        last: when it was last heard of.
        user: its user's id, ``None`` if there is none.
        labels: its labels.
        services: where its lines come from, as platforms name that.
        lines: how many lines it has.
        tasks: how many times a task was published in it.
        messages: how many handled messages it caused, if connections log them.
        errors: how many of its lines are of level error or critical.
    """

    __slots__ = (
        *("_closed", "_open", "_rank", "database", "duration", "errors", "failed", "first", "kind", "labels", "last", "lines"),
        *("messages", "name", "queries", "services", "start", "status", "tasks", "user"),
    )

    def __init__(self, line: Line) -> None:
        self.first = self.last = self.start = line.time
        self.kind = self.name = self.status = ""
        self.duration: float | None = None
        self.queries: int | None = None
        self.database: float | None = None
        self.failed = False
        self.user: Any = None
        self.labels: list[str] = []
        self.services: dict[str, None] = {}
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
        if self.duration is None:
            self.start = self.first
        fields, event = line.fields, line.own_event
        if self.user is None:
            self.user = fields.get("user.id")
        if not self.labels:
            self.labels = line.labels
        if len(self.services) < _MAX_SERVICES and (service := line.service):
            self.services[service] = None
        if line.level in FAILURES:
            self.errors += 1
        self.tasks += event == "task_published"
        self.messages += event == "ws_handled"
        self._name(line, event)

    def _name(self, line: Line, event: str) -> None:
        is_bound = event or "request.id" in line.fields
        kind = ("task" if event == "task_published" else kind_of(line)) if is_bound else LINES
        closing = CLOSINGS.get(event)
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
        self.name, self.status, self.duration, self.failed = called(kind, line), "", None, False
        if closing is not None:
            status = status_of(line)
            self.status = (closing.outcome or "") if status is None else str(status)
            self._end(line)

    def _begin(self, kind: str, key: str) -> None:
        is_over = key == "" and self._closed
        if kind not in ("message", LINES) and not is_over and len(self._open) < _MAX_OPEN:
            self._open.add(key)

    def _end(self, line: Line) -> None:
        self.duration = line.duration
        self.start = line.time - (line.duration or 0.0)
        self.failed = line.level in FAILURES
        queries, database = line.number("db.query_count"), line.number("db.duration_ms")
        self.queries = None if queries is None else int(queries)
        self.database = None if database is None else database / 1000

    @staticmethod
    def _key(line: Line, kind: str) -> str:
        """Return what tells scopes of a life apart that may be open at once."""
        return line.text("task.id") or "" if kind == "task" else line.text("ws.conn_id") or "" if kind == "connection" else ""


def summarize(lines: Sequence[Line]) -> Summary:
    """Return the summary of *lines*, of which there is at least one."""
    summary = Summary(lines[0])
    for line in lines[1:]:
        summary.take(line)
    return summary
