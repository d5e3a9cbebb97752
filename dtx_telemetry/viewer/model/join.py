"""The one way from lines to a life."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

from ..reading.line import Line
from .executions import split_task
from .links import Groups, Publication, link
from .place import place
from .scope import Scope
from .single import split_rest
from .sockets import is_connection, split_connection, split_messages

__all__ = ["Life", "join"]


@dataclass(frozen=True)
class Life:
    """What ran for a request.

    Attributes:
        roots: what nothing else here caused, in order of time; as a rule, one.
        lines: all lines, in order of time.
    """

    roots: list[Scope] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def scopes(self) -> list[Scope]:
        """Return all scopes, each before what it caused."""
        return [scope for root in self.roots for scope in root.tree()]

    def values(self, name: str) -> list[str]:
        """Return the different texts that the lines have under *name*, in order of time."""
        return list(dict.fromkeys(text for line in self.lines if (text := line.text(name)) is not None))


@dataclass
class _Lines:
    """Lines by what they share."""

    tasks: dict[tuple[str, str], list[Line]] = field(default_factory=lambda: defaultdict(list))
    sockets: dict[tuple[str, str], list[Line]] = field(default_factory=lambda: defaultdict(list))
    rest: dict[str, list[Line]] = field(default_factory=lambda: defaultdict(list))
    publications: list[Publication] = field(default_factory=list)


def join(lines: Iterable[Line]) -> Life:
    """Return the life that *lines*, in any order, tell; those without a ``request.id`` are in no scope."""
    ordered = sorted(lines, key=lambda line: line.time)
    grouped = _group(ordered)
    tasks, commands = _tasks(grouped)
    sockets = _sockets(grouped)
    rest = {request_id: split_rest(own) for request_id, own in grouped.rest.items()}
    groups = Groups(tasks, sockets, rest)
    waiting = link(groups, grouped.publications)
    found = [*groups.executions(), *commands, *chain(*sockets.values()), *chain(*rest.values()), *waiting]
    return Life(place(found), ordered)


def _group(lines: Iterable[Line]) -> _Lines:
    grouped = _Lines()
    for line in lines:
        request_id, task_id, connection = (line.text(name) for name in ("request.id", "task.id", "ws.conn_id"))
        if request_id is None:
            continue
        if line.own_event == "task_published" and task_id is not None:
            grouped.publications.append(Publication(request_id, task_id, connection, line))
        elif task_id is not None:
            grouped.tasks[request_id, task_id].append(line)
        elif connection is not None:
            grouped.sockets[request_id, connection].append(line)
        else:
            grouped.rest[request_id].append(line)
    return grouped


def _tasks(grouped: _Lines) -> tuple[dict[tuple[str, str], list[Scope]], list[Scope]]:
    """Return the executions of each task, and the commands in them."""
    executions: dict[tuple[str, str], list[Scope]] = {}
    commands: list[Scope] = []
    for key, lines in grouped.tasks.items():
        executions[key], inner = split_task(lines)
        commands += inner
    return executions, commands


def _sockets(grouped: _Lines) -> dict[tuple[str, str], list[Scope]]:
    """Return the connection or the messages of each group: lines under a foreign ``request.id`` are of messages."""
    count = Counter(request_id for request_id, _ in grouped.sockets)
    others = {request_id for request_id, _ in grouped.tasks} | grouped.rest.keys()
    return {
        key: split_connection(lines)
        if is_connection(lines) or (key[0] not in others and count[key[0]] == 1)
        else split_messages(lines)
        for key, lines in grouped.sockets.items()
    }
