"""``trace``: the life of one request."""

import sys
from pathlib import Path

import orjson

from ..errors import UsageError
from ..model.join import join
from ..model.layout import Waterfall, lay_out
from ..query import NOTHING_FOUND, Query, code, say, say_foreign
from ..reading.find import Finder
from ..show.candidates import show_candidates

__all__ = ["run"]


def run(query: Query, identifier: str, *, lines: bool = False, html: str | None = None, as_json: bool = False) -> int:
    """Show the life that *identifier* is of.

    Args:
        query: where to look; apart from the time, its filters choose the lines that are listed.
        identifier: a request id, a trace id, or a beginning of one.
        lines: list the lines of each scope.
        html: where to write a page to, in place of showing it.
        as_json: print it as JSON, in place of showing it.

    Raises:
        UsageError: *identifier* is empty, or *html* cannot be written.
    """
    if not identifier:
        raise UsageError("the ID is empty")
    finder = Finder(identifier, query.filters.in_time)
    with query.inputs() as inputs:
        found = finder.find(inputs)
    say_foreign(finder.unwrapper)
    if finder.is_ambiguous:
        show_candidates(identifier, finder.candidates, more=finder.has_more)
        return NOTHING_FOUND
    if found:
        _show(lay_out(join(found)), query, lines=lines, html=html, as_json=as_json)
    else:
        say(f"no line has a request.id or trace_id that begins with {identifier!r}")
    return code(inputs, found=bool(found))


def _show(waterfall: Waterfall, query: Query, *, lines: bool, html: str | None, as_json: bool) -> None:
    match = query.filters.match
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(waterfall.as_json(match), option=orjson.OPT_INDENT_2) + b"\n")
    elif html is not None:
        from ..show.html import page

        try:
            Path(html).write_text(page(waterfall, match), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{html}: {error.strerror}") from error
    else:
        from ..show.waterfall import show_waterfall

        show_waterfall(waterfall, match if lines else None)
