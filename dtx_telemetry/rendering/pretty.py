"""Lines for people: as the example has them, or on a terminal laid out for eyes (see `terminal`).

``2024-01-15 10:23:45 [info ] request_completed [telemetry.middleware] http.method=GET ...``
"""

import time
from collections.abc import Callable
from typing import Any

from .escape import printable
from .quoting import key_text, value_text
from .sanitizer import Sanitizer
from .styles import BOLD, CYAN, DIM, LEVELS, MAGENTA, NAME, Paint, leave, paint
from .terminal import lay_out

__all__ = ["PrettyRenderer", "local_time"]

_HEAD = ("timestamp", "level", "logger", "event")
_BLOCKS = ("exception", "stack")


def local_time(created: float) -> str:
    """Return seconds since the epoch as ``2024-01-15 10:23:45.123``, in the process's own zone."""
    seconds, microseconds = divmod(round(created * 1e6), 1_000_000)  # a float of today has no more digits than these
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds))}.{microseconds // 1000:03d}"


class PrettyRenderer:
    """Renders lines for reading. Their ``timestamp`` is to be as `local_time` writes it.

    Args:
        sanitizer: cleans the lines.
        coloured: whether to colour, asked for each line.
        columns: how wide the terminal is, asked for each line; ``None`` where the output is none.
    """

    __slots__ = ("_coloured", "_columns", "_sanitizer")

    def __init__(self, sanitizer: Sanitizer, coloured: Callable[[], bool], columns: Callable[[], int | None]) -> None:
        self._sanitizer = sanitizer
        self._coloured = coloured
        self._columns = columns

    def render(self, line: dict[str, Any]) -> bytes:
        return self.encode(self._sanitizer.line(line))

    def encode(self, line: dict[str, Any]) -> bytes:
        columns = self._columns()
        painted = paint if self._coloured() else leave
        return (_render(line.copy(), painted) if columns is None else lay_out(line, columns, painted)).encode()


def _render(line: dict[str, Any], paint: Paint) -> str:
    timestamp, level, logger, event = (printable(str(line.pop(name)).rstrip()) for name in _HEAD)
    blocks = [_block(str(line.pop(name))) for name in _BLOCKS if name in line]
    parts = [
        paint(timestamp.partition(".")[0], DIM),
        f"[{paint(f'{level:<5}', LEVELS.get(level, BOLD))}]",
        paint(event, BOLD),
        f"[{paint(logger, NAME)}]",
        *(f"{paint(key_text(key), CYAN)}={paint(value_text(value), MAGENTA)}" for key, value in line.items()),
    ]
    return "\n".join([" ".join(parts), *blocks, ""])


def _block(text: str) -> str:
    """Indent a text of several lines, so that none of them can be taken for an event."""
    return "\n".join([f"    {printable(part)}" for part in text.split("\n")])
