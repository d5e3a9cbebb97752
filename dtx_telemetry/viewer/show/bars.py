"""Bars and axes of characters: heavy where something runs, light where it waits."""

from collections.abc import Iterable, Sequence
from itertools import chain, count
from math import floor, log10

from .text import length_text

__all__ = ["axis", "bar", "columns_of", "marks", "ticks"]

_HEAVY, _HEAVY_LEFT, _HEAVY_RIGHT = "━╸╺"
_LIGHT, _LIGHT_LEFT, _LIGHT_RIGHT = "─╴╶"
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
    stop = max(stop, run + 1)
    cells = [_cell(column, wait, run, stop) for column in range(columns)]
    text = "".join(cells)
    blank = len(text) - len(text.lstrip())
    heavy = next(column for column, cell in enumerate(cells) if cell in (_HEAVY, _HEAVY_LEFT, _HEAVY_RIGHT))
    return text[:blank], text[blank:heavy], text[heavy:].rstrip()


def _cell(column: int, wait: int, run: int, stop: int) -> str:
    left, right = 2 * column, 2 * column + 1
    left_runs, right_runs = run <= left < stop, run <= right < stop
    if left_runs or right_runs:
        return _HEAVY if left_runs and right_runs else _HEAVY_LEFT if left_runs else _HEAVY_RIGHT
    left_waits, right_waits = wait <= left < run, wait <= right < run
    if left_waits or right_waits:
        return _LIGHT if left_waits and right_waits else _LIGHT_LEFT if left_waits else _LIGHT_RIGHT
    return " "


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
    """Return *counts* as columns; whatever is more than none is seen, and *most* is as high as a line."""
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
