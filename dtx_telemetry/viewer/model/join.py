"""The one way from lines to a life.

A scope is what shares ``request.id`` and ``scope.id``. It hangs under its ``scope.cause``, else under the request. What does
not say which scope it is of (lines of other libraries, of older versions) stands under its request: each closing event with its
bar.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..reading.line import Line, Once
from .scope import CLOSINGS, LINES, Scope, kind_of

__all__ = ["Life", "join"]

_Key = tuple[str, str]
#: Seconds by which two clocks that agree may seem to differ.
_AGREEMENT = 0.002


@dataclass(frozen=True)
class Life:
    """What ran for a request.

    Attributes:
        roots: what nothing else here caused, in order of time. As a rule there is one.
        lines: all lines, in order of time.
    """

    roots: list[Scope] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def scopes(self) -> list[Scope]:
        """Return all scopes, each before what it caused."""
        return [scope for root in self.roots for scope in root.tree()]

    def values(self, name: str) -> list[str]:
        """Return the different texts that the lines have under *name*, in order of time."""
        found = (line.request_id if name == "request.id" else line.text(name) for line in self.lines)
        return list(dict.fromkeys(text for text in found if text is not None))


def join(lines: Iterable[Line]) -> Life:
    """Return the life that *lines*, in any order, tell. Those without a request's id are in no scope."""
    ordered = sorted(Once()([*lines]), key=lambda line: line.time)
    grouped: dict[_Key, list[Line]] = defaultdict(list)
    loose: dict[str, list[Line]] = defaultdict(list)
    for line in ordered:
        request_id, scope_id = line.request_id, line.text("scope.id")
        if request_id is not None and scope_id is not None:
            grouped[request_id, scope_id].append(line)
        elif request_id is not None:
            loose[request_id].append(line)
    scopes = {key: _scope(key[1], own) for key, own in grouped.items()}
    _end_what_was_killed(scopes)
    roots = _roots(scopes)
    _link(scopes, roots)
    others = _tasks([*scopes.values()], loose)
    others += [scope for request_id, own in loose.items() for scope in _flat(own, roots.get(request_id))]
    return Life(_place([*scopes.values(), *others]), ordered)


def _scope(scope_id: str, lines: list[Line]) -> Scope:
    """Return the scope of *lines*, which are in order of time."""
    closing = next((line for line in reversed(lines) if line.own_event in CLOSINGS), None)
    telling = closing or next((line for line in lines if line.own_event and line.own_event != "task_published"), lines[0])
    scope = Scope(kind_of(telling), lines, scope_id, closing)
    if scope.kind == "task":
        retries = next((number for line in lines if (number := line.number("task.retries")) is not None), None)
        scope.attempt = None if retries is None else int(retries)
    return scope


def _end_what_was_killed(scopes: dict[_Key, Scope]) -> None:
    """Let a worker's report about a task end the execution that could not say so itself, since it was killed."""
    running: dict[object, list[tuple[_Key, Scope]]] = defaultdict(list)
    for key, scope in scopes.items():
        if scope.kind == "task" and scope.closing is None:
            running[scope.field("task.id")].append((key, scope))
    for key, scope in [*scopes.items()]:
        if scope.kind != "task" or scope.closing is None or len(scope.lines) > 1:
            continue
        begun = [found for found in running[scope.field("task.id")] if found[1].start <= scope.end]
        if begun:
            open_key, execution = begun[-1]
            running[scope.field("task.id")].remove(begun[-1])
            execution.lines += scope.lines
            execution.closing = scope.closing
            execution.reckon()
            scopes[key] = scopes[open_key]
            del scopes[key]


def _roots(scopes: Mapping[_Key, Scope]) -> dict[str, Scope]:
    """Return what stands at the beginning of each request's life."""
    roots: dict[str, Scope] = {}
    for (request_id, _), scope in sorted(scopes.items(), key=lambda found: (found[1].kind != "request", found[1].start)):
        if scope.field("scope.cause") is None:
            roots.setdefault(request_id, scope)
    return roots


def _link(scopes: Mapping[_Key, Scope], roots: Mapping[str, Scope]) -> None:
    """Hang each scope under its cause, else under its request or connection."""
    by_id = {scope_id: scope for (_, scope_id), scope in scopes.items()}
    sockets = {scope.field("ws.conn_id"): scope for scope in scopes.values() if scope.kind == "connection"}
    for (request_id, _), scope in scopes.items():
        cause = scope.field("scope.cause")
        if cause is None:
            continue
        found = scopes.get((request_id, str(cause))) or by_id.get(str(cause)) or roots.get(request_id)
        if found is None and scope.kind == "message":
            found = sockets.get(scope.field("ws.conn_id"))
        scope.hang_under(found)


def _tasks(scopes: Sequence[Scope], loose: Mapping[str, list[Line]]) -> list[Scope]:
    """Number the deliveries of tasks, give them the lines that published them, and return those that wait for their start."""
    executions: dict[str, list[Scope]] = defaultdict(list)
    for scope in sorted(scopes, key=lambda scope: scope.start):
        if scope.kind == "task":
            executions[str(scope.field("task.id"))].append(scope)
    published: dict[str, list[tuple[Line, Scope | None]]] = defaultdict(list)
    for scope in scopes:
        for line in scope.lines:
            if line.own_event == "task_published" and (task_id := line.text("task.id")) is not None:
                published[task_id].append((line, scope))
    for lines in loose.values():  # beat and shells publish outside of any scope
        begun = {line.text("task.id") for line in lines if line.own_event != "task_published"}
        for line in [*lines]:
            if line.own_event == "task_published" and (task_id := line.text("task.id")) is not None and task_id not in begun:
                published[task_id].append((line, None))
                lines.remove(line)
    waiting: list[Scope] = []
    for task_id in [*executions, *(published.keys() - executions.keys())]:
        waiting += _number(executions[task_id], sorted(published[task_id], key=lambda found: found[0].time))
    return waiting


def _number(executions: Sequence[Scope], published: Sequence[tuple[Line, Scope | None]]) -> list[Scope]:
    by_attempt: dict[int, list[Scope]] = defaultdict(list)
    for execution in executions:
        execution.delivery = len(by_attempt[execution.attempt or 0])
        by_attempt[execution.attempt or 0].append(execution)
    # If the file begins too late, the first publications are not there.
    attempts = sorted(by_attempt)[-len(published) :] if len(published) < len(by_attempt) else sorted(by_attempt)
    for attempt, (line, asker) in zip(attempts, published, strict=False):
        for execution in by_attempt[attempt]:
            execution.published = line
        if asker is None:
            by_attempt[attempt][0].lines.append(line)
    waiting = []
    for number, (line, asker) in enumerate(published[len(by_attempt) :], max(by_attempt, default=-1) + 1):
        scope = Scope("task", [line] if asker is None else [], published=line, attempt=number)
        scope.hang_under(executions[0].parent if executions else asker)
        waiting.append(scope)
    return waiting


def _flat(lines: Sequence[Line], root: Scope | None) -> list[Scope]:
    """Return what *lines* of one request tell that do not say which scope they are of, each under the request."""
    closings = [line for line in lines if line.own_event in CLOSINGS]
    rest = [line for line in lines if line.own_event not in CLOSINGS]
    scopes = [Scope(kind_of(line), [line], "", line) for line in closings]
    if root is None and (requests := [scope for scope in scopes if scope.kind == "request"]):
        root = requests[0]
    if root is not None:
        root.lines += rest
        root.reckon()
    elif rest:
        root = Scope(LINES, rest)
        scopes.append(root)
    for scope in scopes:
        if scope is not root:
            scope.hang_under(root)
    return scopes


def _place(scopes: Iterable[Scope]) -> list[Scope]:
    """Make a tree of *scopes* whose parents are set, in order of time, and return its roots.

    The clocks of machines differ: a scope that would begin before its cause is moved to it (`Scope.shift`), and what it caused
    with it where need be.
    """
    roots: list[Scope] = []
    for scope in sorted(scopes, key=lambda scope: (scope.start, scope.attempt or 0)):
        (roots if scope.parent is None else scope.parent.children).append(scope)
        scope.lines.sort(key=lambda line: line.time)
    waiting = roots.copy()
    while waiting:
        scope = waiting.pop()
        for child in scope.children:
            child.shift = _shift(child, scope)
        scope.children.sort(key=lambda child: child.start + child.shift)
        waiting += scope.children
    return roots


def _shift(scope: Scope, parent: Scope) -> float:
    cause = parent.start + parent.shift
    # The time in the queue is reckoned from the publisher's clock, so only a task that seems not to have waited can show that
    # its own is behind.
    if not scope.queued and scope.published is not None and scope.published.text("scope.id") == parent.id:
        cause = max(cause, scope.published.time + parent.shift)
    missing = cause - (scope.start - scope.queued)
    return missing if missing > _AGREEMENT else 0.0
