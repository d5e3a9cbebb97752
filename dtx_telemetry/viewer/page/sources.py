"""What the page reads from: files that grow, standard input, archives."""

import os
import select
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from ..query import say
from ..reading.inputs import STDIN, Input, open_inputs
from ..reading.line import Line
from ..reading.packing import PACKING_ERRORS, PlainText, is_plain
from ..reading.pieces import PIECE, Cutter, lines_of
from ..reading.unwrap import Unwrapper
from .follow import Follower

__all__ = ["Counted", "Source", "open_sources"]


class Counted(Protocol):
    """What lines are read by."""

    @property
    def unwrappers(self) -> Sequence[Unwrapper]:
        """What counts the lines that are read."""

    @property
    def problem(self) -> str | None:
        """Why not all of it could be read. ``None`` if it could."""


class Source(Counted, Protocol):
    """Something that lines come from."""

    @property
    def progress(self) -> float | None:
        """How much of what is there is read, as a part of 1. ``None`` if it is all, or nobody knows."""

    def batches(self) -> Iterator[list[Line]]:
        """Return what is there by now, without waiting, in batches that take a few milliseconds."""

    def close(self) -> None:
        """Close what is open."""


def open_sources(names: Sequence[str]) -> list[Source]:
    """Return what *names* stand for, standard input if there are none.

    Raises:
        UsageError: one cannot be opened, or there is nothing to read.
    """
    inputs = open_inputs(names, waits=False)
    sources, others = list[Source](), [STDIN]
    growing = False
    for found in inputs:
        if found.name == STDIN:
            sources.append(_Pipe(sys.stdin.fileno(), ends=True))
        elif not Path(found.name).is_file():
            sources.append(_Pipe(os.open(found.name, os.O_RDONLY | os.O_NONBLOCK), ends=False))
            found.close()
        elif is_plain(_beginning(found.name)):
            growing = True
            found.close()
            continue
        else:  # it grows no more
            sources.append(_Archive(found))
        others.append(found.name)
    followed = [name for name in names if name not in others]
    return [*sources, *([Follower(followed, others)] if growing else [])]


def _beginning(name: str) -> bytes:
    with Path(name).open("rb") as file:
        return file.read(16)


class _Pipe:
    """Standard input, or a named pipe: nobody knows when more comes.

    Args:
        file: to read from.
        ends: whether nothing comes after an end. Into a named pipe the next one may write, who hangs if nobody reads.
    """

    progress: float | None = None
    problem: str | None = None

    def __init__(self, file: int, *, ends: bool) -> None:
        self._file = file
        self._ends = ends
        self._cutter = Cutter()
        self._ended = False
        self._text = PlainText()
        self.unwrappers = [Unwrapper()]

    def batches(self) -> Iterator[list[Line]]:
        while not self._ended and select.select([self._file], [], [], 0)[0]:
            piece = os.read(self._file, PIECE)
            try:
                for plain in self._text.take(piece) if piece else self._text.end():
                    yield list(self.unwrappers[0].read(lines_of(self._cutter.take(plain))))
            except PACKING_ERRORS as error:
                self.problem = f"standard input: {error}"
                say(self.problem)
                self._text = PlainText()  # who writes is not to wait for a reader
            if not piece:
                yield from self._end()
                return

    def _end(self) -> Iterator[list[Line]]:
        """Return the last line, if nothing ended it."""
        self._ended = self._ends
        last, self._cutter, self._text = lines_of(self._cutter.begun), Cutter(), PlainText()
        found = [line for line in self.unwrappers[0].rest() if isinstance(line, Line)]
        if last or found:
            yield [*self.unwrappers[0].read(last), *found]

    def close(self) -> None:
        """Leave it open: standard input is not ours to close, and the process ends now."""


class _Archive:
    """A file that is packed, and so grows no more."""

    def __init__(self, found: Input) -> None:
        self._input = found
        self._is_read = False
        self.unwrappers = [Unwrapper()]

    @property
    def problem(self) -> str | None:
        return self._input.problem

    @property
    def progress(self) -> float | None:
        return self._input.position / self._input.size if self._input.size and not self._is_read else None

    def batches(self) -> Iterator[list[Line]]:
        if self._is_read:
            return
        for piece in self._input.pieces():
            lines = list(self.unwrappers[0].read(lines_of(piece)))
            for line in lines:
                line.source = self._input.source
            yield lines
        self._is_read = True
        if self._input.problem is not None:
            say(self._input.problem)

    def close(self) -> None:
        self._input.close()
