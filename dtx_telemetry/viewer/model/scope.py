"""One scope: an execution of a task, a request, a handled message."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ...events import EVENTS, Event
from ..reading.line import Line

__all__ = ["CLOSINGS", "FAILURES", "LINES", "OPENINGS", "Scope", "called", "kind_of", "request_name", "status_of"]

#: The events that end a scope, and those that open one.
CLOSINGS: dict[str, Event] = {name: event for name, event in EVENTS.items() if event.role == "ends"}
OPENINGS: dict[str, Event] = {name: event for name, event in EVENTS.items() if event.role == "opens"}
#: The levels of a closing event that tells of a failure. A task's exception that it declares in ``throws`` is logged as info.
FAILURES = frozenset({"error", "critical"})
#: The kind of what is no scope: lines of one request that do not say which scope they are of.
LINES = "lines"
#: Some events are about a task that another scope publishes.
_ABOUT_OTHERS = frozenset({"task_published", *(name for name, event in CLOSINGS.items() if event.kind == "task")})


@dataclass(eq=False, slots=True)
class Scope:
    """What shares a ``scope.id``, from its first line to its closing event.

    Attributes:
        kind: ``request``, ``task``, ``connection``, ``message``, ``command``, ``operation`` or ``lines``.
        id: its ``scope.id``. Empty for what its lines do not name.
        lines: its lines, the closing event included, in order of time once the life is joined.
        closing: the event that ended it. ``None`` while it runs, or if that line is missing.
        attempt: of a task: how often it was retried before.
        delivery: of a task: how often this attempt had been started before.
        parent: the scope that caused it.
        children: what it caused.
        published: the line that says that it, a task, was published.
        shift: seconds by which it is moved, since its clock is behind its cause's.
        start: when it began, on its own machine's clock, in seconds since the epoch.
        end: when it ended, or was last heard of.
    """

    kind: str
    lines: list[Line] = field(default_factory=list)
    id: str = ""
    closing: Line | None = None
    attempt: int | None = None
    delivery: int = 0
    parent: "Scope | None" = None
    children: list["Scope"] = field(default_factory=list)
    published: Line | None = None
    shift: float = 0.0
    start: float = field(init=False)
    end: float = field(init=False)

    def __post_init__(self) -> None:
        self.reckon()

    def reckon(self) -> None:
        """Work out when it began and ended, by its lines."""
        times = [line.time for line in self.lines if line is not self.published] or [self.lines_or_published[0].time]
        self.end = max(times) if self.closing is None else self.closing.time
        duration = None if self.closing is None else self.closing.duration
        self.start = min(times) if duration is None else max(self.end - duration, 0.0)

    @property
    def lines_or_published(self) -> list[Line]:
        """Its lines. A task that waits has the one that published it, which another scope may have logged."""
        return self.lines or ([self.published] if self.published is not None else [])

    def hang_under(self, parent: "Scope | None") -> None:
        """Make *parent* what caused it, unless it caused that itself, as ids that somebody made up may say."""
        above = parent
        while above is not None:
            if above is self:
                return
            above = above.parent
        self.parent = parent

    @property
    def queued(self) -> float:
        """Seconds between a task's being published and its start, 0 if unknown."""
        found = (line.number("task.queue_ms") for line in self.lines if line.own_event == "task_started")
        return (next(found, None) or 0.0) / 1000 if self.kind == "task" else 0.0

    @property
    def outcome(self) -> str:
        """How it ended, in a word. ``running`` if it has not, ``queued`` if it has not begun either."""
        if self.closing is not None:
            return CLOSINGS[self.closing.event].outcome or ""
        if self.kind in ("message", LINES):  # without `log_messages` nothing tells the end of a message
            return "completed"
        return "queued" if all(line is self.published for line in self.lines) else "running"

    @property
    def running(self) -> bool:
        """Whether it runs, or waits to, as far as is known."""
        return self.closing is None and self.kind not in ("message", LINES)

    @property
    def failed(self) -> bool:
        """True if it ended in a failure. An exception that a task declares is none."""
        return self.closing is not None and self.closing.level in FAILURES

    @property
    def notable(self) -> bool:
        """Whether it ended neither well nor in a failure: cancelled, retried, refused."""
        if self.closing is None or self.failed:
            return False
        return self.closing.level == "warning" or self.outcome != "completed"

    @property
    def status(self) -> str:
        """What came of it, in short: a request's status, else the outcome."""
        status = None if self.closing is None else status_of(self.closing)
        return self.outcome if status is None else str(status)

    @property
    def error(self) -> str | None:
        """The exception that ended it, as ``TypeName: message``."""
        return self.closing.text("error") if self.closing is not None else None

    @property
    def name(self) -> str:
        """What it is called. Empty if no line says so yet."""
        if self.kind == "message" and self.closing is None:
            return self.lines[0].event
        lines = [self.closing, *self.lines, self.published]
        return next((name for line in lines if line is not None and (name := called(self.kind, line))), "")

    @property
    def service(self) -> str:
        """Where it ran, as a platform names that, else the file."""
        return next((service for line in self.lines_or_published if (service := line.service)), "")

    @property
    def queries(self) -> list[Line]:
        """Its lines about single queries of the database."""
        return [line for line in self.lines if line.own_event == "db_queried"]

    def field(self, name: str) -> Any:
        """Return the value that the closing event, else any line, has under *name*. ``None`` if none has."""
        lines = [self.closing, *self.lines, self.published]
        return next((line.fields[name] for line in lines if line is not None and name in line.fields), None)

    def number(self, name: str) -> float | None:
        """Return a number that the closing event has, else ``None``."""
        return None if self.closing is None else self.closing.number(name)

    def tree(self) -> Iterator["Scope"]:
        """Return the scope and everything below it, in order."""
        waiting = [self]
        while waiting:
            scope = waiting.pop()
            yield scope
            waiting.extend(reversed(scope.children))


def kind_of(line: Line) -> str:
    """Return the kind of the scope that logged *line*: as its event says, else by its fields."""
    event = line.own_event
    known = EVENTS.get(event)
    if known is not None and known.kind is not None:
        return known.kind
    fields = line.fields
    if "task.id" in fields and event not in _ABOUT_OTHERS:
        return "task"
    if "ws.conn_id" in fields:
        return "message" if "scope.cause" in fields else "connection"
    return "command" if "command.name" in fields else "operation" if "operation.name" in fields else "request"


def called(kind: str, line: Line) -> str:
    """Return what a scope of *kind* is called, as far as one of its lines tells. Empty if that does not."""
    if kind == "request":
        return request_name(line) if line.own_event in CLOSINGS else ""
    if kind == "message":
        return line.text("ws.message_type") or ""
    if kind == "connection":
        said = [line.text("url.path") or line.text("http.route"), line.text("ws.consumer")]
        known = " ".join(part for part in said if part) or ",".join(line.labels)
        return known if line.own_event.startswith("ws_") else ""
    return line.text(f"{kind}.name") or ""


def request_name(closing: Line) -> str:
    """Return ``GET /path`` as a request's closing event has it."""
    method = closing.text("http.method") or closing.text("http.request.method") or ""
    path = closing.text("url.path") or closing.text("http.route") or ""
    return f"{method} {path}".strip()


def status_of(closing: Line) -> int | None:
    """Return the status that a request's closing event has."""
    for name in ("http.status_code", "http.response.status_code"):
        value = closing.number(name)
        if value is not None:
            return int(value)
    return None
