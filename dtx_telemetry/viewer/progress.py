"""Reading with a progress bar, where there is much to read and somebody to see it."""

import sys
from collections.abc import Iterator, Sequence

from .reading.inputs import Input

__all__ = ["watched"]

_LARGE = 64 * 1024 * 1024


def watched(inputs: Sequence[Input]) -> Iterator[bytes]:
    """Return the pieces of *inputs*, one after the other, with a bar on the terminal where that takes a while."""
    total = sum(read.size for read in inputs)
    if total < _LARGE or not (sys.stderr.isatty() and sys.stdout.isatty()):
        for read in inputs:
            yield from read.pieces()
        return
    yield from _with_bar(inputs, total)


def _with_bar(inputs: Sequence[Input], total: int) -> Iterator[bytes]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    with Progress(
        BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as progress:
        task = progress.add_task("", total=total)
        before = 0
        for read in inputs:
            for piece in read.pieces():
                yield piece
                progress.update(task, completed=before + read.position)
            before += read.size
