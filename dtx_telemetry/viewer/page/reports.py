"""The commands' tables of errors and of slowness, over the lines that are kept."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from ..model.durations import DURATION_TEXTS, Durations
from ..model.failures import FAILURE_TEXTS, Failures
from ..reading.line import Line
from ..show.text import short, text
from .live import Live, Turns
from .search import Search

__all__ = ["report_errors", "report_slow"]


async def report_errors(live: Live, search: Search) -> dict[str, Any]:
    """Return the rows that the command ``errors`` would show of the lines that are kept."""
    failures = Failures()
    async for line in _lines(live, FAILURE_TEXTS, search):
        failures.take(line)
    rows = [group.as_json() for group in failures.groups()]
    return _report(live, [{**row, "message": text(row["message"])} for row in rows])


async def report_slow(live: Live, search: Search) -> dict[str, Any]:
    """Return the rows that the command ``slow`` would show of the lines that are kept."""
    durations = Durations()
    async for line in _lines(live, DURATION_TEXTS, search):
        durations.take(line)
    return _report(live, durations.rows())


def _report(live: Live, rows: list[dict[str, Any]]) -> dict[str, Any]:
    shown = [{name: short(value) if isinstance(value, str) else value for name, value in row.items()} for row in rows]
    return {"rows": shown, "evicted": live.store.evicted}


async def _lines(live: Live, texts: Sequence[bytes], search: Search) -> AsyncIterator[Line]:
    """Return the lines that are wanted and have one of *texts* in them, and let others have their turn meanwhile."""
    turns = Turns()
    unbound = live.store.unbound
    for entry in [*live.store, *([] if unbound is None else [unbound])]:
        for line in filter(search.line_fits, entry.lines(having=texts)):
            yield line
        await turns.next()
