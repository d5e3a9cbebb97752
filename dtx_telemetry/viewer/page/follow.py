"""Files that are read as they grow, as ``tail -F`` does: through rotation, truncation and being gone for a while."""

import os
import resource
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ..reading.envelope import parse_all
from ..reading.inputs import expand, short_names
from ..reading.line import Line
from ..reading.packing import is_packed
from ..reading.pieces import PIECE, Cutter, lines_of
from ..reading.unwrap import Unwrapper

__all__ = ["Follower"]

#: Seconds for which a file is read on after it lost its name: whoever writes into it may not have noticed yet.
_GRACE = 5.0
#: Seconds between two looks for new files that a pattern fits.
_LOOK = 1.0
#: How many files of those that the system allows are left to everything else, such as browsers.
_SPARE_FILES = 128
#: Bytes that may be unread without being worth a word.
_LITTLE = 4 * 1024 * 1024

_Identity = tuple[int, int]


class Follower:
    """Follows files by their names.

    A file that moves from one followed name to another is read once.

    Args:
        names: of the files, or patterns. A file that is not there is waited for.
        skipped: names that a pattern may fit, and that others read.
    """

    problem: str | None = None

    def __init__(self, names: Sequence[str], skipped: Sequence[str] = ()) -> None:
        self._given = names
        self._skipped = frozenset(skipped)
        self._names: dict[str, _Identity | None] = {}
        self._shown: dict[str, str] = {}
        self._unwrappers: dict[str, Unwrapper] = {}
        self._tails: dict[_Identity, _Tail] = {}
        self._looked = -_LOOK
        self._most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE_FILES - len(skipped)
        self._look()

    @property
    def unwrappers(self) -> list[Unwrapper]:
        """What counted the lines that were read, one for each name."""
        return [*self._unwrappers.values()]

    @property
    def progress(self) -> float | None:
        """How much of what is there is read, as a part of 1. ``None`` if it is nearly all."""
        tails = [tail for tail in self._tails.values() if not tail.is_packed]
        size = sum(tail.size for tail in tails)
        read = sum(min(tail.position, tail.size) for tail in tails)
        return read / size if size - read > _LITTLE else None

    def batches(self) -> Iterator[list[Line]]:
        """Return the lines that are there by now, in batches that take a few milliseconds: of all files in turn."""
        self._look()
        waiting = [(tail, tail.batches()) for tail in self._tails.values()]
        while waiting:
            still = []
            for tail, batches in waiting:
                lines = next(batches, None)
                if lines is not None:
                    yield self._named(tail, lines)
                    still.append((tail, batches))
            waiting = still
        self._let_go()

    def close(self) -> None:
        """Close all files."""
        for tail in self._tails.values():
            tail.close()
        self._tails.clear()

    def _named(self, tail: "_Tail", lines: list[Line]) -> list[Line]:
        """Say of *lines* where they come from, if there is more than one file."""
        if source := self._shown.get(tail.name):
            for line in lines:
                line.source = source
        return lines

    def _look(self) -> None:
        """Look where each name leads, and open what is new there."""
        now = time.monotonic()
        if now - self._looked >= _LOOK:
            self._looked = now
            names = [name for given in self._given for name in expand(given) if name not in self._skipped]
            self._names = {name: self._names.get(name) for name in names}
            self._shown |= short_names(names)
        for name in self._names:
            status = _file_at(name)
            identity = None if status is None else (status.st_dev, status.st_ino)
            self._names[name] = identity
            if status is None or identity is None:
                continue
            tail = self._tails.get(identity)
            if tail is None:
                unwrapper = self._unwrappers.setdefault(name, Unwrapper())
                with suppress(OSError):
                    tail = self._tails[identity] = _Tail(name, identity, unwrapper, stays=len(self._tails) < self._most)
            if tail is not None:
                tail.size = status.st_size

    def _let_go(self) -> None:
        """Close what has had no name for a while, and is read to its end."""
        named, now = set(self._names.values()), time.monotonic()
        for identity, tail in list(self._tails.items()):
            if identity in named:
                tail.heard = now
            elif now - tail.heard > _GRACE:
                tail.close()
                del self._tails[identity]


def _file_at(name: str) -> os.stat_result | None:
    try:
        status = Path(name).stat()
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


class _Tail:
    """One file, whatever it is called by now.

    Args:
        name: what it is called at first.
        identity: what it is by any name.
        unwrapper: makes lines of it.
        stays: whether it is kept open. If not, it is read as long as it has its name: there are more files than may be open.

    Attributes:
        position: how many bytes are read.
        size: how many there are, as far as is known.
        is_packed: whether it is what a rotation packed, the lines of which were read before.
        heard: when something was read, or it had a name.
    """

    def __init__(self, name: str, identity: _Identity, unwrapper: Unwrapper, *, stays: bool) -> None:
        self.name = name
        self.position = self.size = 0
        self.is_packed = False
        self.heard = time.monotonic()
        self._identity = identity
        self._unwrapper = unwrapper
        self._cutter = Cutter()
        self._file = os.open(name, os.O_RDONLY | os.O_NONBLOCK) if stays else None

    def batches(self) -> Iterator[list[Line]]:
        before = self.position
        while piece := self._next():
            self.position += len(piece)
            self.heard = time.monotonic()
            yield list(self._unwrapper.read(lines_of(self._cutter.take(piece))))
        last = self._cutter.begun if self.position != before else b""
        if last and parse_all(last):  # it is whole, though no line feed may ever come
            self._cutter = Cutter()
            yield list(self._unwrapper.read([last]))

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)

    def _next(self) -> bytes:
        """Return what there is after what was read, nothing if it cannot be read at present, as of a server that is gone."""
        if self._file is None and self.size == self.position:
            return b""
        try:
            file = os.open(self.name, os.O_RDONLY | os.O_NONBLOCK) if self._file is None else self._file
            try:
                return self._read(file)
            finally:
                if self._file is None:
                    os.close(file)
        except OSError:
            return b""

    def _read(self, file: int) -> bytes:
        status = os.fstat(file)
        if (status.st_dev, status.st_ino) != self._identity:
            return b""
        if status.st_size < self.position:  # cut off: what comes now is new
            self.position = 0
            self._cutter = Cutter()
        piece = os.pread(file, PIECE, self.position)
        self.is_packed = self.is_packed or (self.position == 0 and is_packed(piece))
        return b"" if self.is_packed else piece
