"""Taking scopes out of lines that share their ids, by the closing events among them and the time that each took."""

from collections.abc import Callable, Sequence

from ..reading.line import Line
from .events import CLOSINGS
from .scope import Scope
from .timeline import Timeline

__all__ = ["carve", "names_of"]


def carve(lines: Sequence[Line], closes: Callable[[Line], bool]) -> tuple[list[Scope], list[Line]]:
    """Return a scope for each closing event among *lines*, with the lines logged in it, and the lines that are in none.

    Args:
        lines: in order of time, of one context apart from what nests in it.
        closes: tells which of the library's closing events count.
    """
    closings = {id(line): line for line in lines if line.own_event in CLOSINGS and closes(line)}
    scopes = [Scope(CLOSINGS[line.event].kind, [line], line) for line in closings.values()]
    if not scopes:
        return [], list(lines)
    timeline = Timeline(scopes)
    left: list[Line] = []
    for line in lines:
        if id(line) not in closings:
            owner = timeline.innermost(line.time, lambda scope, line=line: _agree(scope, line))  # type: ignore[misc]
            if owner is None:
                left.append(line)
            else:
                owner.add(line)
    return scopes, left


def names_of(line: Line) -> tuple[object, object]:
    """Return the names by which scopes that share a ``request.id`` alone can be told apart."""
    return line.text("command.name"), line.text("operation.name")


def _agree(scope: Scope, line: Line) -> bool:
    return scope.closing is None or names_of(scope.closing) == names_of(line)
