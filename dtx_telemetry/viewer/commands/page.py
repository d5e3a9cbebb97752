"""``page``: a live page on loopback."""

from ..page.live import Live
from ..page.serve import serve
from ..page.sources import open_sources
from ..query import FOUND, Query

__all__ = ["run"]


def run(query: Query, *, port: int = 0, show: bool = False) -> int:
    """Serve a page of what *query* asks for until Ctrl-C.

    Args:
        query: what to follow; its filters choose the lines that count.
        port: where to listen; 0 for a port that is free.
        show: open the page in the browser.

    Raises:
        UsageError: a file cannot be opened, or the port cannot be had.
    """
    sources = open_sources(query.files)
    about = " ".join(filter(None, [*query.files, query.filters.text]))
    try:
        serve(Live(query.filters, sources, about), sources, port=port, show=show)
    finally:
        for source in sources:
            source.close()
    return FOUND
