"""Bars and axes of characters: heavy where something runs, light where it waits."""

from collections.abc import Iterable, Sequence
from itertools import chain, count
from math import floor, log10

from .text import length_text

__all__ = ["axis", "bar", "columns_of", "marks", "ticks"]

#: Two halves of a column: what runs is heavy, what waits is light, and there is no sign that is both.
_CELLS = {"  ": " ", "==": "━", "= ": "╸", " =": "╺", "-=": "╺", "--": "─", "- ": "╴", " -": "╶"}
_EIGHTHS = " ▁▂▃▄▅▆▇█"
#: A part of a bar in which the database was asked.
_THIN = "┿"
_MIN_TICK_WIDTH = 10
#: Steps of axes of a minute and more.
_MINUTES = tuple(60.0 * minutes for minutes in (0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720))


def bar(queued: float, start: float, end: float, *, columns: int) -> tuple[str, str, str]:
    """Return the blanks before a bar, its light and its heavy part.

    Args:
        queued: where it begins to wait, between 0 and 1, as are the others.
        start: where it begins to run.
        end: where it ends.
        columns: how wide the whole is.
    """
    # In half columns; whatever runs has at least one.
    most = 2 * columns
    wait, run, stop = (min(max(floor(part * most + 0.5), 0), most) for part in (queued, start, end))
    run = min(run, most - 1)
    wait, stop = min(wait, run), max(stop, run + 1)
    halves = (" " * wait + "-" * (run - wait) + "=" * (stop - run)).ljust(most)
    cells = "".join(_CELLS[halves[place : place + 2]] for place in range(0, most, 2))
    return cells[: wait // 2], cells[wait // 2 : run // 2], cells[run // 2 :].rstrip()


def marks(drawn: str, before: int, queries: Iterable[tuple[float, float]], *, columns: int) -> str:
    """Return a bar with marks where the database was asked.

    Args:
        drawn: the heavy part of the bar.
        before: how many columns stand before that.
        queries: when each query began and ended, between 0 and 1.
        columns: how wide the whole is.
    """
    cells = list(drawn)
    for begin, end in queries:
        for column in range(int(begin * columns) - before, int(end * columns) - before + 1):
            if 0 <= column < len(cells):
                cells[column] = _THIN
    return "".join(cells)


def columns_of(counts: Sequence[int], most: int) -> str:
    """Return *counts* as columns. Whatever is more than none is seen, and *most* is as high as a line."""
    return "".join(_EIGHTHS[-(-8 * count // most) if most else 0] for count in counts)


def axis(length: float, columns: int) -> str:
    """Return an axis of *length* seconds: round times at their places."""
    cells = [" "] * columns
    for tick, text in ticks(length, columns / _MIN_TICK_WIDTH):
        shown, column = f"╷{text}", round(tick / length * columns) if length else 0
        if column + len(shown) <= columns and not "".join(cells[column - 1 : column + len(shown)]).strip():
            cells[column : column + len(shown)] = shown
    return "".join(cells).rstrip()


def ticks(length: float, most: float) -> list[tuple[float, str]]:
    """Return round times between 0 and *length* seconds, about so many, and what each is called."""
    step = _step(length, max(most, 1.0))
    number = floor(length / step + 1e-9) + 1 if step else 1
    return [(place * step, _tick_text(place * step, step, length)) for place in range(number)]


def _step(length: float, most: float) -> float:
    """Return a round number of seconds that fits into *length* at most so many times."""
    if length <= 0:
        return 0.0
    if length >= 60:
        days = (86400.0 * days for days in count(1))
        return next(step for step in chain(_MINUTES, days) if step * most >= length)
    power = 10.0 ** floor(log10(length / most))
    return next(step for factor in (1, 2, 5, 10) if (step := factor * power) * most >= length * 0.999)


def _tick_text(tick: float, step: float, length: float) -> str:
    if tick == 0:
        return "0"
    if length >= 60:
        return length_text(tick)
    scale, unit = (1.0, "s") if length >= 1 else (1000.0, "ms")
    decimals = max(0, -floor(log10(step * scale) + 1e-9))
    return f"{tick * scale:.{decimals}f} {unit}"
