"""Files, patterns and standard input, read in pieces that end where a line ends."""

import glob
import os
import resource
import stat
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO

from ..errors import UsageError
from .packing import PACKING_ERRORS, plain_text
from .pieces import PIECE, whole_lines

__all__ = ["STDIN", "Input", "expand", "open_inputs", "short_names", "watched"]

STDIN = "-"
#: From so many bytes on, how far the reading has got is shown.
_LARGE = 64 * 1024 * 1024
#: How many files of those that the system allows are left to everything else.
_SPARE_FILES = 64


class Input:
    """Something to read lines from.

    Args:
        name: what the user called it.
        waits: for somebody who writes into a named pipe.
        stays: whether it is kept open. If not, it is opened for each piece: there are more files than may be open.

    Attributes:
        source: what its lines are said to come from. Empty if there is no other file.
        size: bytes on disk, 0 for a pipe.
        identity: what it has in common with itself by another name.
        position: how many of those are read.
        problem: why it could not be read to its end, ``None`` if it could.
    """

    def __init__(self, name: str, *, waits: bool = True, stays: bool = True) -> None:
        self.name = name
        self.source = ""
        self.problem: str | None = None
        self.position = 0
        self._file: IO[bytes] | None = _open(name, waits=waits)
        status = os.fstat(self._file.fileno())
        self.size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        self.identity = status.st_dev, status.st_ino
        self._is_read = False
        self._copy: IO[bytes] | None = None
        if not stays and self.size:
            self.close()
            self._file = None

    def pieces(self) -> Iterator[bytes]:
        """Return the content in pieces of whole lines. Those of a pipe come as soon as they are there.

        A second call, for which `keep` makes a pipe ready, begins anew.
        """
        again, self._is_read, self.position = self._is_read, True, 0
        file = self._copy or self._file
        if again and file is not None:
            file.seek(0)
        try:
            yield from whole_lines(self._plain(again=again))
        except PACKING_ERRORS as error:
            self.problem = f"{self.name}: {getattr(error, 'strerror', None) or error}"

    def _plain(self, *, again: bool) -> Iterator[bytes]:
        copy = self._copy
        if copy is None:
            yield from plain_text(self._read())
        elif again:
            yield from iter(lambda: copy.read(PIECE), b"")
        else:
            for piece in plain_text(self._read()):
                copy.write(piece)
                yield piece

    def keep(self) -> None:
        """Have `pieces` work twice: what comes from a pipe is copied into a temporary file."""
        if not self.size and self._copy is None:
            self._copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`

    def close(self) -> None:
        for file in (self._file, self._copy):
            if file is not None:
                file.close()

    def _read(self) -> Iterator[bytes]:
        """Return what the file holds, as it is."""
        while True:
            if self._file is not None:
                piece = self._file.read(PIECE)
            else:
                with _open(self.name, waits=False) as file:
                    status = os.fstat(file.fileno())
                    if (status.st_dev, status.st_ino) != self.identity:
                        raise OSError(0, "it was rotated while it was read")
                    piece = os.pread(file.fileno(), PIECE, self.position)
            if not piece:
                return
            self.position += len(piece)
            yield piece


def open_inputs(names: Sequence[str], *, waits: bool = True) -> list[Input]:
    """Open what *names* stand for, each file once, whatever names it by. Without any that is standard input.

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
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE_FILES
    inputs: dict[tuple[int, int], Input] = {}
    try:
        for name in [name for given in names or [STDIN] for name in expand(given) or [given]]:
            found = Input(name, waits=waits, stays=len(inputs) < most)
            if inputs.setdefault(found.identity, found) is not found:
                found.close()
    except OSError as error:
        for found in inputs.values():
            found.close()
        raise UsageError(f"{error.filename}: {error.strerror}") from error
    shown = short_names([found.name for found in inputs.values()])
    for found in inputs.values():
        found.source = shown.get(found.name, "")
    return [*inputs.values()]


def expand(name: str) -> list[str]:
    """Return the files that a name or a pattern stands for, those of a pattern in order. A name stands for itself."""
    # Of `Path.exists` some names, such as one that is too long, make an error; a pattern may be absolute.
    if name == STDIN or os.path.exists(name) or not glob.has_magic(name):  # noqa: PTH110
        return [name]
    return sorted(glob.glob(name, recursive=True))  # noqa: PTH207


def short_names(names: Collection[str]) -> dict[str, str]:
    """Return what each of several files is called where their lines are shown: without its folder, if that is enough."""
    bases = {name: Path(name).name for name in names}
    counts = Counter(bases.values())
    return {name: base if counts[base] == 1 else name for name, base in bases.items()} if len(names) > 1 else {}


def _open(name: str, *, waits: bool) -> IO[bytes]:
    # Unbuffered, so that a pipe gives what is there; closed by `Input.close`.
    if name == STDIN:
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    more = 0 if waits else os.O_NONBLOCK
    return open(name, "rb", buffering=0, opener=lambda path, flags: os.open(path, flags | more))


def watched(inputs: Sequence[Input]) -> Iterator[tuple[Input, Iterator[bytes]]]:
    """Return *inputs* with their pieces, one after the other, with a bar on the terminal if that takes a while."""
    total = sum(read.size for read in inputs)
    if total < _LARGE or not (sys.stderr.isatty() and sys.stdout.isatty()):
        for read in inputs:
            yield read, read.pieces()
        return
    yield from _with_bar(inputs, total)


def _with_bar(inputs: Sequence[Input], total: int) -> Iterator[tuple[Input, Iterator[bytes]]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    with Progress(
        BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as progress:
        task = progress.add_task("", total=total)

        def told(read: Input, before: int) -> Iterator[bytes]:
            for piece in read.pieces():
                yield piece
                progress.update(task, completed=before + read.position)

        before = 0
        for read in inputs:
            yield read, told(read, before)
            before += read.size
