"""What the list is told each time that a browser asks: the rows that changed, and how much is kept and left out.

A browser asks a few times a second, and each answer is there at once. Held streams would take one of the six connections that a
browser has for an address, so that a seventh page waited for ever.
"""

import time
from functools import lru_cache
from typing import Any

import orjson

from ..model.store import Entry
from ..show.text import short
from .live import Live, Turns
from .search import Search

__all__ = ["Listing"]

#: How many filters are remembered, with what they have found.
_MOST_SEARCHES = 16
#: Into how many parts a time is cut at most.
_PARTS = 120
#: Seconds for which the rate over time is not reckoned anew.
_STRIP_REST = 0.5


class Listing:
    """Answers browsers about the lives of *live*."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._search = lru_cache(maxsize=_MOST_SEARCHES)(Search)
        self._strip: dict[str, Any] | None = None
        self._strip_is_good_until = 0.0

    async def news(self, run: str, version: int, text: str, opened: str = "") -> bytes:
        """Return what changed after *version*, as JSON.

        Args:
            run: whose version it is. That of another process means nothing.
            version: what the browser has.
            text: the filter.
            opened: the id of the life that the browser shows, whether it fits the filter or not.

        Raises:
            UsageError: the filter is not understood.
        """
        live, search = self._live, self._search(text)
        store = live.store
        anew = run != live.run or not 0 < version <= store.version
        now, rows, gone = store.version, list[list[Any]](), list[str]()
        turns = Turns()
        for entry in list(store.changed_since(0 if anew else version)):
            if search.fits(entry):
                rows.append(_row(entry))
            elif search.can_lose:
                gone.append(entry.request_id)
            await turns.next()
        search.forget(lambda name: store.get(name) is not None, len(store))
        shown = store.get(opened)
        told: dict[str, Any] = {"opened": None if shown is None else shown.version}
        told |= {"run": live.run, "version": now, "anew": anew, "oldest": store.oldest, "rows": rows, "gone": gone}
        return orjson.dumps({**told, **self._counts(), "strip": None if text else self._rate()})

    def _rate(self) -> dict[str, Any] | None:
        """Return how many began over time. The longer the time is, the longer that takes."""
        begin = time.monotonic()
        if begin > self._strip_is_good_until:
            bins = self._live.strip.bins(_PARTS)
            self._strip = (
                None if bins is None else {"begin": bins.begin * 1000, "width": bins.width * 1000, "parts": bins.counts}
            )
            end = time.monotonic()
            self._strip_is_good_until = end + max(_STRIP_REST, 20 * (end - begin))
        return self._strip

    def _counts(self) -> dict[str, Any]:
        live = self._live
        return {
            "about": live.about,
            "lives": len(live.store),
            "evicted": live.store.evicted,
            "lines": live.lines,
            "foreign": live.foreign,
            "left_out": live.left_out,
            "loose": 0 if live.store.unbound is None else live.store.unbound.summary.lines,
            "progress": live.progress,
            "problem": live.problem,
        }


def _row(entry: Entry) -> list[Any]:
    """Return what a list shows of a life. The page's ``rows.js`` has the names."""
    summary = entry.summary
    return [
        entry.request_id,
        entry.version,
        summary.kind,
        short(summary.name),
        short(summary.status),
        None if summary.duration is None else summary.duration * 1000,
        summary.failed,
        summary.start * 1000,
        summary.last * 1000,
        None if summary.user is None else short(summary.user),
        [short(label) for label in summary.labels[:20]],
        summary.lines,
        summary.tasks,
        summary.messages,
        summary.errors,
        summary.running,
        summary.queries,
        [short(service) for service in summary.services],
    ]
