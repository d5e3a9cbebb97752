"""A life as a waterfall in the terminal."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from ...rendering.pretty import lay_out, local_time
from ...rendering.terminal import leave, paint, printable
from ..model.layout import Row, Waterfall
from ..reading.line import Line
from .bars import axis, bar, marks
from .console import make_console, safe
from .text import Said, context, cut_middle, day_and_time, describe, length_text, own_fields, repeated_text

__all__ = ["render", "show_waterfall"]

_STYLES = {
    "request": "cyan",
    "task": "blue",
    "message": "magenta",
    "connection": "green",
    "command": "yellow",
    "operation": "yellow",
    "lines": "white",
}
_OUTCOMES = {"failed": "red", "notable": "yellow"}
_MIN_COLUMNS = 50
_TIME_WIDTH = 9
#: Names are cut if the bars would have less.
_MIN_BAR_WIDTH = 28
#: From so many columns on, notes have a column of their own.
_WIDE = 110
_NOTES_WIDTH, _MOST_NOTES_WIDTH = 26, 44


@dataclass(frozen=True)
class _Widths:
    """How many columns each part of a row has.

    Attributes:
        guides: those of the label that lines which lead to it may take.
    """

    guides: int
    label: int
    bar: int
    notes: int


def show_waterfall(waterfall: Waterfall, match: Callable[[Line], bool] | None = None, *, stderr: bool = False) -> None:
    """Print *waterfall*, and of each scope the lines for which *match* holds. ``None`` for no lines."""
    console = make_console(stderr=stderr)
    coloured = console.color_system is not None and not console.no_color
    for text in render(waterfall, console.width, match, coloured=coloured):
        console.print(text)


def render(
    waterfall: Waterfall, columns: int, match: Callable[[Line], bool] | None = None, *, coloured: bool = True
) -> Iterator[Text]:
    """Return the waterfall line by line.

    Args:
        waterfall: what to show.
        columns: how wide it may be.
        match: which lines to list. ``None`` for none.
        coloured: whether the lines that are listed are coloured.
    """
    columns = max(columns, _MIN_COLUMNS)
    rows = [(row, describe(row)) for row in waterfall.rows]
    widths = _widths(rows, columns)
    yield from _heading(waterfall)
    yield Text()
    yield Text(" " * (widths.label + 1) + axis(waterfall.length, widths.bar), style="dim")
    for row, said in rows:
        yield _row(row, said, waterfall.length, widths)
        blanks = _blanks(row, widths.guides)
        if repeated := repeated_text(row.scope, columns - len(blanks)):
            yield _cut(safe(f"{blanks}{repeated}", "red"), columns)
        if row.scope.error is not None and said.state in _OUTCOMES:
            yield _cut(safe(f"{blanks}{row.scope.error}", _OUTCOMES[said.state]), columns)
    for row, said in rows:
        if said.all_notes and not widths.notes:
            yield safe(f"{'~ ' if row.scope.shift else ''}{said.label}: {' · '.join(said.all_notes)}", "dim")
    if match is not None:
        yield from _lines(rows, match, columns, paint if coloured else leave)


def _widths(rows: Sequence[tuple[Row, Said]], columns: int) -> _Widths:
    noted = max((len(" · ".join(said.all_notes)) for _, said in rows), default=0)
    beside = min(max(noted, _NOTES_WIDTH), _MOST_NOTES_WIDTH) if columns >= _WIDE and noted else 0
    rest = columns - _TIME_WIDTH - 2 - (beside and beside + 2)
    # Deep rows are cut on the left, so they ask for no more room than others.
    texts = [(2 * row.depth, len(said.title) + 1 + len(said.status)) for row, said in rows]
    longest = max((min(guides, columns // 5) + text for guides, text in texts), default=0)
    name = min(max(longest, 12), max(rest - _MIN_BAR_WIDTH, int(columns * 0.4)))
    is_whole = all(guides + text <= name for guides, text in texts)
    return _Widths(name if is_whole else name // 2, name, rest - name, beside)


def _heading(waterfall: Waterfall) -> Iterator[Text]:
    life = waterfall.life
    said = [day_and_time(waterfall.begin), length_text(waterfall.length), *context(life.lines)]
    yield Text("  ").join(safe(request_id, "bold") for request_id in life.values("request.id"))
    yield safe(" · ".join(said), "dim")
    for trace_id in life.values("trace_id"):
        yield safe(f"trace {trace_id}", "dim")


def _row(row: Row, said: Said, length: float, widths: _Widths) -> Text:
    style = _style(row, said)
    places = (part / length if length else 0.0 for part in (row.queued, row.start, row.end))
    before, light, heavy = bar(*places, columns=widths.bar)
    queries = [(begin / length, end / length) for begin, end in row.queries] if length else []
    heavy = marks(heavy, len(before) + len(light), queries, columns=widths.bar)
    drawn = Text.assemble(before, (light, "dim"), (heavy, style))
    drawn.pad_right(widths.bar - drawn.cell_len)
    text = Text.assemble(_label(row, said, widths, style), " ", drawn, " ", f"{said.took:>{_TIME_WIDTH}}")
    if widths.notes:
        text.append("  ").append_text(_cut(safe(" · ".join(said.all_notes), "dim"), widths.notes))
    text.rstrip()
    return text


def _label(row: Row, said: Said, widths: _Widths, style: str) -> Text:
    status = safe("" if said.state == "running" else said.status, f"bold {style}")
    guides = Text(_guides(row, widths.guides), style="dim")
    room = widths.label - guides.cell_len - (status.cell_len + 1 if status else 0)
    name, where = printable(said.label), printable(said.title.removeprefix(said.label))
    if len(name) + len(where) > room:
        where = cut_middle(where, max(room // 2, 1))
    called = safe(cut_middle(name, max(room - len(where), 1)) + where, style)
    text = Text.assemble(guides, called, " " if status else "", status)
    return _cut(text, widths.label, pad=True)


def _style(row: Row, said: Said) -> str:
    return _OUTCOMES.get(said.state, _STYLES[row.scope.kind])


def _guides(row: Row, most: int) -> str:
    """Return the lines that lead from a row's parent to it, in no more than so many columns."""
    return f"{_above(row.last[:-1], most - 2)}{'└ ' if row.last[-1] else '├ '}" if row.last else ""


def _blanks(row: Row, most: int) -> str:
    """Return what stands before a text between a row and what is below it."""
    return _above(row.last, most) + ("│ " if row.scope.children else "  ")


def _above(last: Sequence[bool], most: int) -> str:
    """Return the lines of the rows above, of those that are too many the innermost."""
    is_cut = 2 * len(last) > most
    shown = last[len(last) - most // 2 + 1 :] if is_cut else last
    return ("… " if is_cut else "") + "".join("  " if is_last else "│ " for is_last in shown)


def _cut(text: Text, width: int, *, pad: bool = False) -> Text:
    text.truncate(width, overflow="ellipsis", pad=pad)
    return text


def _lines(
    rows: Iterable[tuple[Row, Said]], match: Callable[[Line], bool], columns: int, painted: Callable[[str, str], str]
) -> Iterator[Text]:
    for row, said in rows:
        lines = [line for line in row.scope.lines if match(line)]
        if lines:
            yield Text()
            yield safe(said.title, f"bold {_style(row, said)}")
        for line in lines:
            yield from Text.from_ansi(
                lay_out({**own_fields(line), "timestamp": local_time(line.time)}, columns, painted).rstrip("\n")
            ).split("\n")
