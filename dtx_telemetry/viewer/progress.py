"""Reading with a progress bar, if there is much to read and somebody to see it."""

import sys
from collections.abc import Iterator, Sequence

from .reading.inputs import Input

__all__ = ["watched"]

_LARGE = 64 * 1024 * 1024


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
