"""What goes wrong, by type and place, each failure once, whichever events tell of it."""

import re
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from ..reading.line import Line
from .routes import place_of
from .scope import CLOSINGS, FAILURES, status_of
from .strip import Strip

__all__ = ["FAILURE_TEXTS", "Failures", "Group", "is_failure"]

#: All lines of these levels have one of these in them, as do queries that failed, also in a string that a collector made.
FAILURE_TEXTS = (b'"error', b'"critical')
_TYPE = re.compile(r"([A-Za-z_][\w.]*)(?::|$)")
_FRAME = re.compile(r'^ +File "([^"]+)", line (\d+), in (.+)$', re.MULTILINE)
_INSTALLED = re.compile(r"site-packages|dist-packages|/lib/python3|^<frozen ")
_MAX_LENGTH = 100
#: How many failures, and statements, are remembered.
_MOST = 50_000


class _Key(NamedTuple):
    type: str
    place: str


@dataclass
class Group:
    """Failures of one type at one place.

    Attributes:
        type: the exception's, else what was logged.
        place: the application's last frame, else what was running.
        count: how many there were.
        first: the line of the first.
        last: likewise.
        message: of the last one.
        statement: the last that failed, if lines about queries tell.
    """

    type: str
    place: str
    count: int
    first: Line
    last: Line
    message: str
    statement: str | None = None

    @property
    def first_id(self) -> str | None:
        return self.first.request_id

    @property
    def last_id(self) -> str | None:
        return self.last.request_id

    def as_json(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "place": self.place,
            "count": self.count,
            "first": self.first.fields["timestamp"],
            "last": self.last.fields["timestamp"],
            "first_id": self.first_id,
            "last_id": self.last_id,
            "message": self.message,
            "statement": self.statement,
        }


class Failures:
    """Takes lines, and groups those that tell of a failure.

    Attributes:
        strip: how many failures there were over time.
    """

    def __init__(self) -> None:
        self.strip = Strip()
        self._groups: dict[_Key, Group] = {}
        self._told: dict[tuple[str, str], _Told] = {}
        self._statements: dict[tuple[str, str], str] = {}

    def take(self, line: Line) -> None:
        """Count *line*, if it tells of a failure that no line before it told of."""
        request_id = line.request_id or ""
        scope = line.text("scope.id") or line.text("task.id") or line.text("ws.conn_id") or ""
        if line.own_event == "db_queried" and line.text("error"):
            _remember(self._statements, (request_id, scope), line.text("db.query.text") or "")
        if not is_failure(line) or (request_id and self._is_told(line, request_id, scope)):
            return
        key = _Key(_type(line), _place(line))
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(*key, 0, line, line, _message(line))
        group.count += 1
        if line.time < group.first.time:
            group.first = line
        if line.time >= group.last.time:
            group.last, group.message = line, _message(line)
        group.statement = self._statements.get((request_id, scope)) or group.statement
        self.strip.take(line.fields["timestamp"], failed=True)
        said = _message(line) if _said(line) else ""
        told = _Told(group, scope, is_closing=line.own_event in CLOSINGS, has_traceback=line.text("exception") is not None)
        _remember(self._told, (request_id, said), told)
        _remember(self._told, (request_id, f"\0{scope}"), told)

    def groups(self, sort: str = "count") -> list[Group]:
        """Return the groups: the most frequent first, or by the time of their ``first``, or of their ``last``, newest first."""
        orders = {
            "count": lambda group: -group.count,
            "first": lambda group: group.first.time,
            "last": lambda group: -group.last.time,
        }
        return sorted(self._groups.values(), key=orders[sort])

    def _is_told(self, line: Line, request_id: str, scope: str) -> bool:
        """Return whether *line* repeats what one before it told: a closing event what a line in its scope said, or the reverse.

        An exception's traceback is printed once: an event about it in another scope, as of an eager task, has ``error`` alone.
        What says best where it was, is what counts: the line with the traceback, and not the status of a response.
        """
        said = _said(line)
        told = self._told.get((request_id, _message(line) if said else f"\0{scope}"))
        is_closing, has_traceback = line.own_event in CLOSINGS, line.text("exception") is not None
        if told is None or not (is_closing or told.is_closing):
            return False
        if told.scope != scope and (has_traceback or not is_closing):
            return False
        if (told.has_traceback or not has_traceback) and (said or is_closing):
            return True
        told.group.count -= 1
        if not told.group.count:
            self._groups.pop(_Key(told.group.type, told.group.place), None)
        return False


@dataclass(frozen=True)
class _Told:
    """A failure that was counted."""

    group: Group
    scope: str
    is_closing: bool
    has_traceback: bool


def _remember(kept: dict[tuple[str, str], Any], key: tuple[str, str], value: Any) -> None:
    kept[key] = value
    if len(kept) > _MOST:
        for old in [*islice(kept, _MOST // 2)]:
            del kept[old]


def is_failure(line: Line) -> bool:
    """Return whether *line* tells of a failure."""
    return line.level in FAILURES


def _type(line: Line) -> str:
    found = _TYPE.match(_said(line))
    if found is not None:
        return found[1]
    status = status_of(line)
    return f"HTTP {status}" if status is not None else line.event[:_MAX_LENGTH]


def _message(line: Line) -> str:
    return (_said(line) or line.event).partition("\n")[0]


def _said(line: Line) -> str:
    return line.text("error") or _last_line(line)


def _last_line(line: Line) -> str:
    exception = line.text("exception") or line.text("exc_info") or line.text("stack_trace") or ""
    return next((part for part in reversed(exception.splitlines()) if part and not part.startswith(" ")), "")


def _place(line: Line) -> str:
    """Return where in the application it came from: of the frames, the last that is not of an installed package."""
    frames = _FRAME.findall(line.text("exception") or "")
    own = [frame for frame in frames if not _INSTALLED.search(frame[0])] or frames
    if not own:
        return place_of(line.fields)
    path, number, function = own[-1]
    return f"{'/'.join(path.split('/')[-3:])}:{number} in {function}"
