"""``errors``: what goes wrong, by type and place."""

import re
import sys
from collections.abc import Iterable
from typing import NamedTuple

import orjson

from ..model.events import FAILURES
from ..model.failures import Group
from ..model.routes import place_of
from ..model.scope import status_of
from ..progress import watched
from ..query import Query, code, say, say_foreign
from ..reading.line import Line
from ..reading.search import find_lines
from ..reading.unwrap import Unwrapper

__all__ = ["group_errors", "run"]

#: All lines of these levels have one of these in them, also where a collector has put the line into a string.
_TEXTS = (b'"error', b'"critical')
_TYPE = re.compile(r"([A-Za-z_][\w.]*)(?::|$)")
_FRAME = re.compile(r'^ +File "([^"]+)", line (\d+), in (.+)$', re.MULTILINE)
_INSTALLED = re.compile(r"site-packages|dist-packages|/lib/python3|^<frozen ")
_MAX_LENGTH = 100


class _Key(NamedTuple):
    type: str
    place: str


def run(query: Query, *, as_json: bool = False) -> int:
    """Show the most frequent errors first."""
    unwrapper = Unwrapper()
    with query.inputs() as inputs:
        lines = find_lines(watched(inputs), _TEXTS, unwrapper)
        groups = group_errors(query.filters.of(lines))
    say_foreign(unwrapper)
    groups.sort(key=lambda group: group.count, reverse=True)
    if as_json:
        results = [group.as_json() for group in groups]
        sys.stdout.buffer.write(orjson.dumps(results, option=orjson.OPT_INDENT_2) + b"\n")
    elif groups:
        from ..show.tables import show_errors

        show_errors(groups)
    else:
        say("no line is of level error or critical")
    return code(inputs, found=bool(groups))


def group_errors(lines: Iterable[Line]) -> list[Group]:
    """Return the groups of those of *lines* that are errors, in the order in which they come up."""
    groups: dict[_Key, Group] = {}
    for line in lines:
        if line.level in FAILURES:
            key = _Key(_type(line), _place(line))
            group = groups.get(key)
            if group is None:
                groups[key] = Group(*key, 1, line, line, line.text("request.id"), _message(line))
            else:
                _count(group, line)
    return list(groups.values())


def _count(group: Group, line: Line) -> None:
    group.count += 1
    if line.time < group.first.time:
        group.first = line
    if line.time >= group.last.time:
        group.last, group.message = line, _message(line)
        group.example = line.text("request.id") or group.example


def _type(line: Line) -> str:
    said = line.text("error") or _last_line(line)
    found = _TYPE.match(said)
    if found is not None:
        return found[1]
    status = status_of(line)
    return f"HTTP {status}" if status is not None else line.event[:_MAX_LENGTH]


def _message(line: Line) -> str:
    return (line.text("error") or _last_line(line) or line.event).partition("\n")[0]


def _last_line(line: Line) -> str:
    exception = line.text("exception") or ""
    return next((part for part in reversed(exception.splitlines()) if part and not part.startswith(" ")), "")


def _place(line: Line) -> str:
    """Return where in the application it came from: of the frames, the last that is not of an installed package."""
    frames = _FRAME.findall(line.text("exception") or "")
    own = [frame for frame in frames if not _INSTALLED.search(frame[0])] or frames
    if not own:
        return place_of(line.fields)
    path, number, function = own[-1]
    return f"{'/'.join(path.split('/')[-3:])}:{number} in {function}"
