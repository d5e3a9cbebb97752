"""What caused what."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ..reading.line import Line
from .carving import names_of
from .scope import Scope
from .single import nest
from .timeline import Timeline

__all__ = ["Groups", "Publication", "link"]


class Publication(NamedTuple):
    """A ``task_published``: a line of the scope that published, with the id of the task in place of that scope's own."""

    request_id: str
    task_id: str
    connection: str | None
    line: Line


@dataclass(frozen=True)
class Groups:
    """Scopes by what their lines share.

    Attributes:
        tasks: the executions of each task, in the order of their start, by ``request.id`` and ``task.id``.
        sockets: connections and messages, by ``request.id`` and ``ws.conn_id``.
        rest: requests, commands and operations, by ``request.id``.
    """

    tasks: Mapping[tuple[str, str], list[Scope]]
    sockets: Mapping[tuple[str, str], list[Scope]]
    rest: Mapping[str, list[Scope]]

    def executions(self) -> list[Scope]:
        return [scope for task in self.tasks.values() for scope in task]


def link(groups: Groups, publications: Iterable[Publication]) -> list[Scope]:
    """Set the parent of each scope and give publications to who published; return what waits for its start, as scopes too.

    Args:
        groups: all scopes.
        publications: in order of time.
    """
    published: dict[tuple[str, str], list[Publication]] = defaultdict(list)
    for publication in publications:
        published[publication.request_id, publication.task_id].append(publication)
    waiting: list[Scope] = []
    for key in dict.fromkeys([*groups.tasks, *published]):
        waiting += _link_task(groups, key, published.get(key, []))
    _link_messages(groups)
    for request_id, scopes in groups.rest.items():
        nest(scopes, [scope for key, task in groups.tasks.items() if key[0] == request_id for scope in task])
    return waiting


def _link_task(groups: Groups, key: tuple[str, str], published: list[Publication]) -> list[Scope]:
    executions = groups.tasks.get(key, [])
    first, retries = _sorted_out(executions, published)
    waiting: list[Scope] = []
    if not executions and first is not None:
        waiting.append(Scope("task", published=first.line))
    family = [*executions, *waiting]
    if not family:
        return []
    parent = _publisher(groups, key, family[0], first)
    if first is not None:
        _give(first, parent or family[0], family[0])
    base = min((execution.attempt or 0 for execution in executions), default=0)
    for number, retry in enumerate(retries):
        waiting += _link_retry(executions, retry, base + number)
    for scope in [*executions, *waiting]:
        scope.hang_under(parent)
    return waiting


def _sorted_out(executions: list[Scope], published: list[Publication]) -> tuple[Publication | None, list[Publication]]:
    """Return the publication of a task's first execution, where it is there, and those of its retries."""
    if not executions:
        return (published[0], published[1:]) if published else (None, [])
    attempts = {execution.attempt or 0 for execution in executions}
    # Where the file begins after it, there are fewer than attempts, each of which was published.
    is_there = len(published) >= len(attempts) or (published and published[0].line.time <= executions[0].start)
    return (published[0], published[1:]) if published and is_there and 0 in attempts else (None, published)


def _link_retry(executions: list[Scope], retry: Publication, attempt: int) -> list[Scope]:
    """Give a retry to *attempt*, which asked for it; return it as a scope where it has not begun.

    Its time says less: the next attempt may begin before the line about its publication is logged.
    """
    asker = next((execution for execution in reversed(executions) if (execution.attempt or 0) == attempt), None)
    begun = [execution for execution in executions if execution.attempt == attempt + 1]
    scope = begun[0] if begun else Scope("task", published=retry.line, attempt=attempt + 1)
    _give(retry, asker or scope, scope)
    return [] if begun else [scope]


def _give(publication: Publication, asker: Scope, task: Scope) -> None:
    task.published = publication.line
    if asker is task:  # where it was published nothing ran that is known
        task.lines.append(publication.line)
    else:
        task.asker = asker
        asker.add(publication.line)


def _publisher(groups: Groups, key: tuple[str, str], task: Scope, published: Publication | None) -> Scope | None:
    """Return the scope that published a task: its parent task, else the connection's or request's that logged it."""
    request_id = key[0]
    line = task.lines[0] if published is None else published.line
    time = task.start - task.queued if published is None else line.time
    parent_id, connection = task.field("task.parent_id"), line.text("ws.conn_id")
    for scopes in (
        groups.tasks.get((request_id, str(parent_id)), []),
        groups.sockets.get((request_id, connection or ""), []),
        [scope for scope in groups.rest.get(request_id, []) if names_of(scope.lines[0]) == names_of(line)],
        groups.rest.get(request_id, []),
    ):
        if scopes:
            return Timeline(scopes).nearest(time)
    # A task that has started says which task published it: without that none did.
    if published is None or any(each.own_event == "task_started" for each in task.lines):
        return None
    others = [scope for other, scopes in groups.tasks.items() if other[0] == request_id and other != key for scope in scopes]
    return Timeline(others).innermost(time)


def _link_messages(groups: Groups) -> None:
    """Hang each message under what ran when it began: who sent it, its lines do not say beyond the ``request.id``."""
    messages: dict[str, list[Scope]] = defaultdict(list)
    senders: dict[str, list[Scope]] = defaultdict(list)
    for (request_id, _), scopes in groups.sockets.items():
        for scope in scopes:
            if scope.kind == "message" and scope.parent is None:
                messages[request_id].append(scope)
            elif scope.kind == "connection":
                senders[request_id].append(scope)
    for (request_id, _), scopes in groups.tasks.items():
        senders[request_id] += scopes
    for request_id, found in messages.items():
        timeline = Timeline([*senders[request_id], *groups.rest.get(request_id, [])])
        for message in sorted(found, key=lambda scope: scope.start):
            message.hang_under(timeline.nearest(message.start))
