"""Files that are read as they grow, as ``tail -F`` does: through rotation, truncation and being gone for a while."""

import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ..reading.envelope import parse
from ..reading.line import Line
from ..reading.unwrap import Unwrapper
from .pieces import PIECE, LineCutter

__all__ = ["Follower"]

#: How much of a file that is there already is read, from its end: about what a store can hold.
_BACKLOG = 16 * 1024 * 1024
#: Seconds for which a file is read on after it lost its name: whoever writes into it may not have noticed yet.
_GRACE = 5.0

_Identity = tuple[int, int]


class Follower:
    """Follows files by their names.

    A file that moves from one followed name to another is read once.

    Args:
        names: of the files; one that is not there is waited for.
        backlog: how many bytes from the end of what is there already are read.

    Attributes:
        unwrappers: count what was read, one for each name.
    """

    def __init__(self, names: Sequence[str], backlog: int = _BACKLOG) -> None:
        self._names: dict[str, _Identity | None] = dict.fromkeys(names)
        self._unwrapper_of = {name: Unwrapper() for name in names}
        self._tails: dict[_Identity, _Tail] = {}
        self.unwrappers = list(self._unwrapper_of.values())
        self._look(backlog)

    def batches(self) -> Iterator[list[Line]]:
        """Return the lines that are there by now, in batches that take a few milliseconds."""
        self._look(None)
        for tail in list(self._tails.values()):
            yield from tail.batches()
        self._let_go()

    def close(self) -> None:
        """Close all files."""
        for tail in self._tails.values():
            tail.close()
        self._tails.clear()

    def _look(self, backlog: int | None) -> None:
        """Look where each name leads, and open what is new there."""
        for name in self._names:
            try:
                status = Path(name).stat()
                is_file = stat.S_ISREG(status.st_mode)
            except OSError:
                is_file = False
            if not is_file:
                self._names[name] = None
                continue
            identity = status.st_dev, status.st_ino
            self._names[name] = identity
            if identity not in self._tails:
                with suppress(OSError):
                    self._tails[identity] = _Tail(name, self._unwrapper_of[name], backlog)

    def _let_go(self) -> None:
        """Close what has had no name for a while, and is read to its end."""
        named, now = set(self._names.values()), time.monotonic()
        for identity, tail in list(self._tails.items()):
            if identity in named:
                tail.heard = now
            elif now - tail.heard > _GRACE:
                tail.close()
                del self._tails[identity]


class _Tail:
    """One open file, whatever it is called by now."""

    def __init__(self, name: str, unwrapper: Unwrapper, backlog: int | None) -> None:
        self._file = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
        self._unwrapper = unwrapper
        self._cutter = LineCutter()
        self._position = 0
        self.heard = time.monotonic()
        if backlog is not None:
            self._skip(backlog)

    def batches(self) -> Iterator[list[Line]]:
        before = self._position
        while piece := self._next():
            self._position += len(piece)
            self.heard = time.monotonic()
            yield list(self._unwrapper.read(self._cutter.cut(piece)))
        last = self._cutter.rest() if self._position != before else []
        if last and parse(last[0]) is not None:  # it is whole, though no line feed may ever come
            self._cutter = LineCutter()
            yield list(self._unwrapper.read(last))

    def close(self) -> None:
        os.close(self._file)

    def _next(self) -> bytes:
        """Return what there is after what was read; nothing where it cannot be read at present, as of a server that is gone."""
        try:
            size = os.fstat(self._file).st_size
            if size < self._position:  # cut off: what comes now is new
                self._position = 0
                self._cutter = LineCutter()
            return os.pread(self._file, PIECE, self._position)
        except OSError:
            return b""

    def _skip(self, backlog: int) -> None:
        """Begin with the first whole line of the last *backlog* bytes."""
        size = os.fstat(self._file).st_size
        if size > backlog:
            self._position = size - backlog
            piece = os.pread(self._file, PIECE, self._position - 1)
            self._position += piece.find(b"\n")
