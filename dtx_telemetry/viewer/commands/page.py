"""``page``: a live page on loopback."""

import asyncio
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress

from ..page.live import Live
from ..page.serve import listen, serving
from ..page.sources import Source, open_sources
from ..query import FOUND, Query

__all__ = ["run"]


def run(query: Query, *, port: int = 0, show: bool = False) -> int:
    """Serve a page of what *query* asks for until Ctrl-C.

    Args:
        query: what to follow. Its filters choose the lines that count.
        port: where to listen. 0 for a port that is free.
        show: open the page in the browser.

    Raises:
        UsageError: a file cannot be opened, or the port cannot be had.
    """
    sources = open_sources(query.files)
    live = Live(query.filters, sources, " ".join(filter(None, [*query.files, query.filters.text])))
    try:
        with listen(port, sys.stdout, show=show) as listener:
            asyncio.run(_serve(live, sources, listener))
    finally:
        for source in sources:
            source.close()
    return FOUND


async def _serve(live: Live, sources: Sequence[Source], listener: socket.socket) -> None:
    """Serve until a signal, or until nothing can be read any more."""
    reading = asyncio.ensure_future(live.read(sources))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, reading.cancel)
    async with serving(live, listener):
        with suppress(asyncio.CancelledError):
            await reading
