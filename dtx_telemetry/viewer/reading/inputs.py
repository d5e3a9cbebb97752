"""Files, globs, gzip and standard input, read in pieces that end where a line ends."""

import glob
import gzip
import os
import stat
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, Protocol

from ..errors import UsageError

__all__ = ["STDIN", "Input", "open_inputs", "whole_lines"]

STDIN = "-"
_PIECE = 1024 * 1024
# A longer line is cut there: no input may fill the memory.
_MAX_LENGTH = 16 * 1024 * 1024
_GZIP = b"\x1f\x8b"


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes:
        """Return up to *size* bytes, nothing at the end."""


class Input:
    """Something to read lines from.

    Attributes:
        name: what the user called it.
        size: bytes on disk, 0 for a pipe.
        position: how many of those are read.
        problem: why it could not be read to its end, ``None`` if it could.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.problem: str | None = None
        self._file = _open(name)
        status = os.fstat(self._file.fileno())
        self.size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        self._is_read = False

    @property
    def position(self) -> int:
        return self._file.tell() if self.size and not self._file.closed else self.size

    @property
    def repeatable(self) -> bool:
        """Whether it can be read again from its beginning."""
        return self.size > 0 and self._file.seekable()

    def pieces(self) -> Iterator[bytes]:
        """Return the content in pieces of whole lines; of a pipe, as soon as they are there."""
        if self._is_read:
            self._file.seek(0)
        self._is_read = True
        try:
            yield from whole_lines(_plain(self._file))
        except (OSError, EOFError, zlib.error) as error:
            self.problem = f"{self.name}: {error}"

    def close(self) -> None:
        self._file.close()


def open_inputs(names: Sequence[str]) -> list[Input]:
    """Open what *names* stand for; without any, standard input.

    Raises:
        UsageError: one cannot be opened, or there is nothing to read.
    """
    if not names and sys.stdin.isatty():
        raise UsageError("name a file, or pipe lines in")
    inputs: list[Input] = []
    try:
        for name in _expand(names or [STDIN]):
            inputs.append(Input(name))  # noqa: PERF401 - those that were opened are closed again
    except OSError as error:
        for found in inputs:
            found.close()
        raise UsageError(f"{error.filename}: {error.strerror}") from error
    return inputs


def _expand(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        found = sorted(glob.glob(name)) if name != STDIN and not Path(name).exists() else []
        yield from found or [name]


def _open(name: str) -> IO[bytes]:
    if name == STDIN:
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115 - closed by `Input.close`
    file = open(name, "rb", buffering=0)  # noqa: PTH123, SIM115
    if stat.S_ISDIR(os.fstat(file.fileno()).st_mode):  # pragma: no cover - the system refuses it before
        file.close()
    return file


def _plain(file: IO[bytes]) -> Iterator[bytes]:
    """Return what *file* holds, unpacked where it is gzip."""
    first = file.read(_PIECE)
    if first.startswith(_GZIP):
        with closing(gzip.GzipFile(fileobj=_Rest(first, file), mode="rb")) as unpacked:
            yield from iter(lambda: unpacked.read1(_PIECE), b"")
        return
    yield first
    yield from iter(lambda: file.read(_PIECE), b"")


class _Rest:
    """A file whose first bytes were read already."""

    def __init__(self, first: bytes, file: IO[bytes]) -> None:
        self._first = first
        self._file = file

    def read(self, size: int = _PIECE, /) -> bytes:
        if self._first:
            part, self._first = self._first[:size], self._first[size:]
            return part
        return self._file.read(size)


def whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Return *pieces* cut anew, so that each ends where a line ends."""
    rest = b""
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if end:
            yield rest + piece[:end] if rest or end < len(piece) else piece
            rest = piece[end:]
        else:
            rest += piece
        if len(rest) > _MAX_LENGTH:
            yield rest
            rest = b""
    if rest:
        yield rest
