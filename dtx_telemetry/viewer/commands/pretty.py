"""``pretty``: lines in the development format, as they come, or by time if there are several files."""

import heapq
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter

from ...rendering.terminal import DIM, printable
from ..query import FOUND, NOTHING_FOUND, WRONG_USAGE, Query, say
from ..reading.inputs import Input
from ..reading.line import Line, Once
from ..reading.pieces import lines_of
from ..reading.unwrap import Unwrapper
from ..show.lines import LinePainter

__all__ = ["Printer", "run"]

# What a foreign line may do to a terminal: colours, as `stern` and others print them, and tabs.
_HARMLESS = re.compile(r"(\x1b\[[\d;]*m|\t)")


def run(query: Query) -> int:
    """Print the lines of *query*."""
    write, found = sys.stdout.buffer.write, False
    printer, once = Printer(query.filters.match, foreign=not query.filters.any), Once()
    with query.inputs() as inputs:
        unwrappers = [Unwrapper() for _ in inputs]
        parts = _merged(inputs, unwrappers) if len(inputs) > 1 else _taken(inputs[0], unwrappers[0])
        for lines in parts:
            for line in lines:
                if isinstance(line, bytes) or once([line]):
                    text = printer.text(line)
                    found = found or bool(text)
                    write(text)
            sys.stdout.buffer.flush()  # somebody may watch
    if query.filters.any:
        worst = max(unwrappers, key=lambda unwrapper: unwrapper.foreign)
        foreign = sum(unwrapper.foreign for unwrapper in unwrappers)
        said = [] if found else [f"no line fits {query.filters.text}"]
        said += [f"{foreign} lines left out, which have no fields: {worst.reason}"] if foreign else []
        if said:
            say("; ".join(said))
    return WRONG_USAGE if any(read.problem is not None for read in inputs) else FOUND if found else NOTHING_FOUND


def _taken(read: Input, unwrapper: Unwrapper) -> Iterator[list[Line | bytes]]:
    for piece in read.pieces():
        yield [found for raw in lines_of(piece) for found in unwrapper.take(raw)]
    yield unwrapper.rest()


def _merged(inputs: Iterable[Input], unwrappers: Iterable[Unwrapper]) -> Iterator[list[Line | bytes]]:
    for _, line in heapq.merge(*map(_timed, inputs, unwrappers), key=itemgetter(0)):
        yield [line]


def _timed(read: Input, unwrapper: Unwrapper) -> Iterator[tuple[float, Line | bytes]]:
    """Return the lines of one file with their times. A line without a time has that of the line before."""
    latest = 0.0
    for lines in _taken(read, unwrapper):
        for line in lines:
            if isinstance(line, Line):
                line.source = read.source
                latest = line.time or latest
            yield latest, line


class Printer:
    """Turns lines into what is printed.

    Args:
        match: which lines are.
        foreign: whether text that is no line is printed too: if something is asked for, what has no fields is not it.
    """

    def __init__(self, match: Callable[[Line], bool], *, foreign: bool = True) -> None:
        self._match = match
        self._painter = LinePainter()
        self._foreign = _no_foreign if not foreign else _tamed if self._painter.is_terminal else _as_it_is

    def text(self, line: Line | bytes) -> bytes:
        """Return what is printed of *line*, empty if nothing is."""
        if not isinstance(line, Line):
            return self._foreign(line)
        if not self._match(line):
            return b""
        before = f"{printable(line.service)} | " if line.service else ""
        shown = self._painter.encode(line, len(before))
        return self._painter.paint(before, DIM).encode() + shown if before else shown


def _as_it_is(raw: bytes) -> bytes:
    return raw + b"\n"


def _no_foreign(_raw: bytes) -> bytes:
    return b""


def _tamed(raw: bytes) -> bytes:
    text = raw.removesuffix(b"\r").decode("utf-8", "backslashreplace")
    parts = [part if _HARMLESS.fullmatch(part) else printable(part) for part in _HARMLESS.split(text)]
    return f"{''.join(parts)}\n".encode()
