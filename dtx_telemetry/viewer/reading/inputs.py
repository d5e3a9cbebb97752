"""Files, globs, gzip and standard input, read in pieces that end where a line ends."""

import glob
import os
import stat
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO

from ..errors import UsageError

__all__ = ["GZIP", "STDIN", "Input", "Unpacker", "open_inputs", "whole_lines"]

STDIN = "-"
# Small enough for the processor's caches, and for memory that need not be asked of the system anew each time.
_PIECE = 64 * 1024
# A longer line is cut there: no input may fill the memory.
_MAX_LENGTH = 16 * 1024 * 1024
#: How what is gzip begins: RFC 1952, section 2.3.1.
GZIP = b"\x1f\x8b"


class Input:
    """Something to read lines from.

    Attributes:
        name: what the user called it.
        size: bytes on disk, 0 for a pipe.
        identity: what it has in common with itself by another name.
        position: how many of those are read.
        problem: why it could not be read to its end, ``None`` if it could.
    """

    def __init__(self, name: str, *, waits: bool = True) -> None:
        self.name = name
        self.problem: str | None = None
        self._file = _open(name, waits=waits)
        status = os.fstat(self._file.fileno())
        self.size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        self.identity = status.st_dev, status.st_ino
        self._is_read = False
        self._copy: IO[bytes] | None = None

    @property
    def position(self) -> int:
        return self._file.tell() if self.size and not self._file.closed else self.size

    def pieces(self) -> Iterator[bytes]:
        """Return the content in pieces of whole lines; of a pipe, as soon as they are there.

        A second call, for which `keep` makes a pipe ready, begins anew.
        """
        source = self._copy or self._file
        if self._is_read:
            source.seek(0)
        pieces = self._copied(source) if self._copy is not None and not self._is_read else _plain(source)
        self._is_read = True
        try:
            yield from whole_lines(pieces)
        except (OSError, EOFError, zlib.error) as error:
            self.problem = f"{self.name}: {error}"

    def keep(self) -> None:
        """Have `pieces` work twice: what comes from a pipe is copied into a temporary file."""
        if not self.size:
            self._copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`

    def close(self) -> None:
        self._file.close()
        if self._copy is not None:
            self._copy.close()

    def _copied(self, copy: IO[bytes]) -> Iterator[bytes]:
        for piece in _plain(self._file):
            copy.write(piece)
            yield piece


def open_inputs(names: Sequence[str], *, waits: bool = True) -> list[Input]:
    """Open what *names* stand for, each file once, whatever names it by; without any, standard input.

    Args:
        names: of files, or patterns.
        waits: for somebody who writes into a named pipe.

    Raises:
        UsageError: one cannot be opened, or there is nothing to read.
    """
    is_closed = sys.stdin is None  # by the shell
    if is_closed and STDIN in names:
        raise UsageError("standard input is closed")
    if not names and (is_closed or sys.stdin.isatty()):
        raise UsageError("name a file, or pipe lines in")
    inputs: dict[tuple[int, int], Input] = {}
    try:
        for name in _expand(names or [STDIN]):
            found = Input(name, waits=waits)
            if inputs.setdefault(found.identity, found) is not found:
                found.close()
    except OSError as error:
        for found in inputs.values():
            found.close()
        raise UsageError(f"{error.filename}: {error.strerror}") from error
    return [*inputs.values()]


def _expand(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        is_pattern = name != STDIN and not Path(name).exists()
        # A pattern may be absolute, which `Path.glob` refuses.
        yield from (is_pattern and sorted(glob.glob(name, recursive=True))) or [name]  # noqa: PTH207


def _open(name: str, *, waits: bool) -> IO[bytes]:
    # Unbuffered, so that a pipe gives what is there; closed by `Input.close`.
    if name == STDIN:
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    more = 0 if waits else os.O_NONBLOCK
    return open(name, "rb", buffering=0, opener=lambda path, flags: os.open(path, flags | more))


def _plain(file: IO[bytes]) -> Iterator[bytes]:
    """Return what *file* holds, unpacked where it is gzip."""
    first = file.read(_PIECE)
    pieces = chain([first], iter(lambda: file.read(_PIECE), b""))
    return _unpacked(pieces) if first.startswith(GZIP) else pieces


def _unpacked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    unpacker = Unpacker()
    for piece in pieces:
        yield from unpacker.unpack(piece)
    yield from unpacker.end()


class Unpacker:
    """Unpacks gzip piece by piece, of several members where there are."""

    def __init__(self) -> None:
        self._member = _member()
        self._begun = False

    def unpack(self, piece: bytes) -> Iterator[bytes]:
        """Return what is packed in the next *piece*."""
        rest = piece
        while rest:
            yield self._member.decompress(rest, _PIECE)
            rest, self._begun = self._member.unconsumed_tail, True
            if self._member.eof:  # another may follow, after padding
                rest = self._member.unused_data.lstrip(b"\0")
                self._member, self._begun = _member(), False

    def end(self) -> Iterator[bytes]:
        """Return what is left.

        Raises:
            EOFError: there should be more.
        """
        yield self._member.flush()
        if self._begun and not self._member.eof:
            raise EOFError("the compressed data end too early")


def _member() -> "zlib._Decompress":
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)


def whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Return *pieces* cut anew, so that each ends where a line ends."""
    begun: list[bytes] = []
    length = 0
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if end or length > _MAX_LENGTH:
            yield b"".join([*begun, memoryview(piece)[:end]])  # a view: the most of the piece is copied once, not twice
            begun, length = [], 0
        if end < len(piece):
            begun.append(piece[end:])
            length += len(piece) - end
    if begun:
        yield b"".join(begun)
