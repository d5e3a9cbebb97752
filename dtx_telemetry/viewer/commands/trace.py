"""``trace``: the life of one request."""

from pathlib import Path

from ..errors import UsageError
from ..model.join import join
from ..model.layout import Waterfall, lay_out
from ..model.scope import LINES
from ..query import NOTHING_FOUND, Query, Reading, write_json
from ..reading.find import Finder
from ..reading.pieces import lines_of

__all__ = ["run"]

#: How many bytes of each file are looked at to say why nothing was found.
_SAMPLE = 1024 * 1024


def run(query: Query, identifier: str, *, lines: bool = False, html: str | None = None, as_json: bool = False) -> int:
    """Show the life that *identifier* is of.

    Args:
        query: where to look. Apart from the time, its filters choose the lines that are listed.
        identifier: the id of a request, trace, task or connection, or a beginning of one.
        lines: list the lines of each scope.
        html: where to write a page to, in place of showing it.
        as_json: print it as JSON, in place of showing it.

    Raises:
        UsageError: *identifier* is empty, or *html* cannot be written.
    """
    if not identifier:
        raise UsageError("the ID is empty")
    if not query.files and Path(identifier).is_file():
        raise UsageError(f"{identifier} is a file: write an ID before it, such as `dtx-telemetry list {identifier}` shows")
    times = query.filters.times
    finder = Finder(identifier, times)
    with query.reading() as reading:
        found = finder.find(reading.inputs)
        reading.unwrapper = finder.unwrapper
        if not found and not finder.is_ambiguous:
            _sample(reading)
    if finder.is_ambiguous:
        from ..show.tables import show_candidates

        show_candidates(identifier, finder.candidates, more=finder.has_more)
        return NOTHING_FOUND
    if found:
        _show(lay_out(join(found)), query, lines=lines, html=html, as_json=as_json)
    # Braces would be taken for what `end` fills in.
    shown, shown_times = (text.replace("{", "{{").replace("}", "}}") for text in (repr(identifier), times.text))
    nothing = f"no line has an id of a request, trace, task or connection that begins with {shown}"
    if finder.left_out:
        nothing = f"{finder.left_out} lines have an id that begins with {shown}, all left out by {shown_times}"
    return reading.end(found=bool(found), nothing=nothing)


def _sample(reading: Reading) -> None:
    """Look at the beginning of each file, to say whether it could be read at all."""
    for read in reading.inputs:
        size = 0
        for piece in read.pieces():
            list(reading.unwrapper.read(lines_of(piece)))
            size += len(piece)
            if size > _SAMPLE:
                break


def _show(waterfall: Waterfall, query: Query, *, lines: bool, html: str | None, as_json: bool) -> None:
    match = query.filters.match
    if as_json:
        write_json(waterfall.as_json(match))
    elif html is not None:
        from ..show.html import page

        try:
            Path(html).write_text(page(waterfall, match), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{html}: {error.strerror}") from error
    else:
        from ..show.waterfall import show_waterfall

        are_foreign = all(row.scope.kind == LINES for row in waterfall.rows)  # there is nothing else to see
        show_waterfall(waterfall, match if lines or are_foreign else None)
