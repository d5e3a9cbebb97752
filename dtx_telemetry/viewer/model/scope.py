"""One scope: an execution of a task, a request, a handled message."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..reading.line import Line
from .events import CLOSINGS, FAILURES, Closing, Kind

__all__ = ["Scope", "request_name", "status_of"]

_OPEN = Closing("", "running")
# Without ``log_messages`` nothing tells the end of a message.
_OPEN_MESSAGE = Closing("", "handled")
_QUIET_OUTCOMES = frozenset({"completed", "closed", "handled"})


@dataclass(eq=False, slots=True)
class Scope:
    """What shares a context, from its first line to its closing event.

    Attributes:
        kind: ``request``, ``task``, ``connection``, ``message``, ``command`` or ``operation``.
        lines: its lines, the closing event included, in order of time once the life is joined.
        closing: the event that ended it; ``None`` while it runs, or where that line is missing.
        attempt: of a task: how often it was retried before.
        parent: the scope that caused it.
        children: what it caused.
        published: the line that says that it, a task, was published.
        asker: the scope that logged that: its parent, or the attempt before it.
        shift: seconds by which it is moved, since its clock is behind its cause's.
        start: when it began, on its own machine's clock, in seconds since the epoch.
        end: when it ended, or was last heard of.
    """

    kind: Kind
    lines: list[Line] = field(default_factory=list)
    closing: Line | None = None
    attempt: int | None = None
    parent: "Scope | None" = None
    children: list["Scope"] = field(default_factory=list)
    published: Line | None = None
    asker: "Scope | None" = None
    shift: float = 0.0
    start: float = field(init=False)
    end: float = field(init=False)
    _start_is_known: bool = field(init=False)

    def __post_init__(self) -> None:
        closing = self.closing
        lines: list[Line | None] = [*self.lines] or [self.published]
        times = [line.time for line in lines if line is not None]
        self.end = max(times) if closing is None else closing.time
        duration = None if closing is None else closing.duration
        self._start_is_known = duration is not None
        self.start = min(times) if duration is None else max(self.end - duration, 0.0)

    def add(self, line: Line) -> None:
        """Take a line that was logged in it."""
        self.lines.append(line)
        if self.closing is None:
            self.end = max(self.end, line.time)
        if not self._start_is_known:
            self.start = min(self.start, line.time)

    def close(self, line: Line) -> None:
        """Take its closing event."""
        self.lines.append(line)
        self.closing = line
        self.__post_init__()

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
        """Seconds between a task's being published and its start, 0 where unknown."""
        milliseconds = next((line.number("task.queue_ms") for line in self.lines if line.own_event == "task_started"), None)
        return 0.0 if milliseconds is None else milliseconds / 1000

    @property
    def outcome(self) -> str:
        """How it ended, in a word; ``running`` where it has not, ``queued`` where it has not begun either."""
        return "queued" if all(line is self.published for line in self.lines) else self._ending.outcome

    @property
    def running(self) -> bool:
        """Whether it runs, or waits to, as far as is known."""
        return self.closing is None and self.kind != "message"

    @property
    def failed(self) -> bool:
        """Whether it ended in a failure; an exception that a task declares is none."""
        return self.closing is not None and self.closing.level in FAILURES

    @property
    def notable(self) -> bool:
        """Whether it ended neither well nor in a failure: cancelled, retried, refused."""
        if self.closing is None or self.failed:
            return False
        return self.closing.level == "warning" or self.outcome not in _QUIET_OUTCOMES

    @property
    def http_status(self) -> int | None:
        """A request's status, if it got one."""
        return status_of(self.closing) if self.closing is not None else None

    @property
    def status(self) -> str:
        """What came of it, in short: a request's status, else the outcome."""
        return str(self.http_status) if self.http_status is not None else self.outcome

    @property
    def error(self) -> str | None:
        """The exception that ended it, as ``TypeName: message``."""
        return self.closing.text("error") if self.closing is not None else None

    @property
    def name(self) -> str:
        """What it is called; empty where no line says so yet."""
        if self.kind == "request":
            return request_name(self.closing) if self.closing is not None else ""
        if self.kind == "message":
            said = self.closing.text("ws.message_type") if self.closing is not None else None
            return said or min(self.lines, key=lambda line: line.time).event
        if self.kind == "connection":
            return ",".join(next((labels for line in self.lines if (labels := line.labels)), []))
        return str(self.field(f"{self.kind}.name") or "")

    def field(self, name: str) -> Any:
        """Return the value that the closing event, else any line, has under *name*; ``None`` where none has."""
        lines = [self.closing, *self.lines, self.published]
        return next((line.fields[name] for line in lines if line is not None and name in line.fields), None)

    def tree(self) -> Iterator["Scope"]:
        """Return the scope and everything below it, in order."""
        waiting = [self]
        while waiting:
            scope = waiting.pop()
            yield scope
            waiting.extend(reversed(scope.children))

    @property
    def _ending(self) -> Closing:
        if self.closing is not None:
            return CLOSINGS[self.closing.event]
        return _OPEN_MESSAGE if self.kind == "message" else _OPEN


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
