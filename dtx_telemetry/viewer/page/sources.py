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
from ..reading.packing import PACKING_ERRORS, Unpacker, is_packed
from ..reading.unwrap import Unwrapper
from .follow import Follower
from .pieces import PIECE, LineCutter

__all__ = ["Source", "open_sources"]


class Source(Protocol):
    """Something that lines come from.

    Attributes:
        unwrappers: count what was read.
    """

    unwrappers: list[Unwrapper]

    def batches(self) -> Iterator[list[Line]]:
        """Return what is there by now, without waiting, in batches that take a few milliseconds."""

    def close(self) -> None:
        """Close what is open."""


def open_sources(names: Sequence[str]) -> list[Source]:
    """Return what *names* stand for; without any, standard input.

    Raises:
        UsageError: one cannot be opened, or there is nothing to read.
    """
    inputs = open_inputs(names, waits=False)
    growing, sources = [], list[Source]()
    for found in inputs:
        if found.name == STDIN:
            sources.append(_Pipe(sys.stdin.fileno(), ends=True))
        elif _is_packed(found.name):
            sources.append(_Archive(found))
        elif Path(found.name).is_file():
            growing.append(found.name)
            found.close()
        else:
            sources.append(_Pipe(os.open(found.name, os.O_RDONLY | os.O_NONBLOCK), ends=False))
            found.close()
    return [*sources, *([Follower(growing)] if growing else [])]


def _is_packed(name: str) -> bool:
    if not Path(name).is_file():
        return False
    with Path(name).open("rb") as file:
        return is_packed(file.read(8))


class _Pipe:
    """Standard input, or a named pipe: nobody knows when more comes.

    Args:
        file: to read from.
        ends: whether nothing comes after an end. Into a named pipe the next one may write, who hangs if nobody reads.
    """

    def __init__(self, file: int, *, ends: bool) -> None:
        self._file = file
        self._ends = ends
        self._cutter = LineCutter()
        self._ended = False
        self._unpacker: Unpacker | None = None
        self._is_new = True
        self.unwrappers = [Unwrapper()]

    def batches(self) -> Iterator[list[Line]]:
        while not self._ended and select.select([self._file], [], [], 0)[0]:
            piece = os.read(self._file, PIECE)
            try:
                for plain in self._plain(piece):
                    yield list(self.unwrappers[0].read(self._cutter.cut(plain)))
            except PACKING_ERRORS as error:
                say(f"standard input: {error}")
                self._unpacker = None  # who writes is not to wait for a reader
            if not piece:
                yield from self._end()
                return

    def _plain(self, piece: bytes) -> Iterator[bytes]:
        """Return *piece*, which is empty at the end, unpacked where it is gzip."""
        if self._is_new and is_packed(piece):
            self._unpacker = Unpacker(piece)
        self._is_new = not piece
        if self._unpacker is not None:
            yield from self._unpacker.unpack(piece) if piece else self._unpacker.end()
        elif piece:
            yield piece

    def _end(self) -> Iterator[list[Line]]:
        """Return the last line, where nothing ended it."""
        self._ended = self._ends
        last, self._cutter, self._unpacker = self._cutter.rest(), LineCutter(), None
        if last:
            yield list(self.unwrappers[0].read(last))

    def close(self) -> None:
        """Leave it open: standard input is not ours to close, and the process ends now."""


class _Archive:
    """A file that is packed, and so grows no more."""

    def __init__(self, found: Input) -> None:
        self._input = found
        self._is_read = False
        self.unwrappers = [Unwrapper()]

    def batches(self) -> Iterator[list[Line]]:
        if self._is_read:
            return
        self._is_read = True
        for piece in self._input.pieces():
            yield list(self.unwrappers[0].read(piece.split(b"\n")))
        if self._input.problem is not None:
            say(self._input.problem)

    def close(self) -> None:
        self._input.close()
