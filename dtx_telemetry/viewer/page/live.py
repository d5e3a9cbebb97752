"""What the page knows: the store, how it is filled, and what a browser is told of it."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import orjson

from ..model.store import Entry, Store
from ..reading.line import Line
from .sources import Source
from .values import short

__all__ = ["Live"]

#: Seconds between two updates of a browser, and between two looks at what came in.
_UPDATE, _LOOK, _LOOK_AGAIN = 0.25, 0.1, 0.01
#: Seconds after which a browser hears that the server is there still.
_SILENCE = 10.0


class Live:
    """Lives as they grow.

    Args:
        sources: what is read.
        match: which lines count.
        store: what they are kept in.
        about: what is read, for people.
    """

    def __init__(
        self, sources: Sequence[Source], match: Callable[[Line], bool], store: Store | None = None, about: str = ""
    ) -> None:
        self.store = Store() if store is None else store
        self._sources = sources
        self._match = match
        self._about = short(about)
        self._run = secrets.token_hex(4)
        self._is_over = False

    async def read(self) -> None:
        """Read until the task is cancelled."""
        while True:
            found = False
            for source in self._sources:
                for lines in source.batches():
                    found = True
                    self.take(lines)
                    await asyncio.sleep(0)  # whoever waits for an answer comes first
            await asyncio.sleep(_LOOK_AGAIN if found else _LOOK)

    def take(self, lines: Sequence[Line]) -> None:
        """Put *lines* into the store."""
        for line in filter(self._match, lines):
            self.store.take(line)

    def end(self) -> None:
        """End what `updates` returned."""
        self._is_over = True

    async def updates(self, last: str) -> AsyncIterator[bytes]:
        """Return server-sent events: at first everything, then what changed, at most a few a second.

        Args:
            last: the id of the last event that the browser got, empty if it got none.
        """
        run, _, number = last.partition("-")
        version = int(number) if run == self._run and number.isdecimal() else None
        told, silence = -1, 0.0
        while not self._is_over:
            read = self._count("lines")
            if version is None or read != told or version != self.store.version:
                told, silence = read, 0.0
                message = self._message(version or 0, anew=version is None)
                version = self.store.version
                yield b"id: %b-%d\ndata: %b\n\n" % (self._run.encode(), version, message)
            elif silence >= _SILENCE:
                silence = 0.0
                yield b": still here\n\n"
            silence += _UPDATE
            await asyncio.sleep(_UPDATE)

    def _message(self, version: int, *, anew: bool) -> bytes:
        store = self.store
        rows = [_row(entry) for entry in store.changed_since(version)]
        rows.reverse()  # in the order in which they changed: a browser lets the first go, as the store does
        return orjson.dumps(
            {
                "anew": anew,
                "about": self._about,
                "lives": len(store),
                "evicted": store.evicted,
                "lines": self._count("lines"),
                "foreign": self._count("foreign"),
                "rows": rows,
            }
        )

    def _count(self, what: str) -> int:
        return sum(getattr(unwrapper, what) for source in self._sources for unwrapper in source.unwrappers)


def _row(entry: Entry) -> list[Any]:
    """Return what a list shows of a life; the page's ``rows.js`` has the names."""
    summary = entry.summary
    return [
        entry.request_id,
        entry.version,
        summary.kind,
        short(summary.name),
        short(summary.status),
        None if summary.duration is None else summary.duration * 1000,
        summary.failed,
        summary.first * 1000,
        summary.last * 1000,
        None if summary.user is None else short(summary.user),
        [short(label) for label in summary.labels[:20]],
        summary.lines,
        summary.tasks,
        summary.messages,
        summary.errors,
        summary.running,
    ]
