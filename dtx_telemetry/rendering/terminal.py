"""A line laid out for eyes: ``10:23:45.123 info     draft_pick_made  hero=Invoker request.id=9596ecf5 user.id=42``."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .escape import printable
from .quoting import key_text, value_text
from .styles import BOLD, CYAN, DIM, LEVELS, RED, Paint, colour_of

__all__ = ["CUT", "lay_out"]

#: Ids, and how many characters of them are shown: enough to tell them apart, and for ``dtx-telemetry trace``.
_IDS = frozenset({"request.id", "task.id", "task.parent_id", "ws.conn_id", "trace_id", "span_id"})
CUT = 8
_HEAD = ("timestamp", "level", "logger", "event")
_BLOCKS = ("exception", "stack")
_EVENT_WIDTH = 24
#: Where the event begins, and what does not fit into its line goes on.
_INDENT = len("HH:MM:SS.mmm ") + len("critical ")
# The first key of what is bound: everything after it is bound too. Where a collector has sorted the keys, names tell some.
_FIRST_BOUND = "request.id"
_BOUND = frozenset({"user.id", "labels", "ws.conn_id", "command.name", "operation.name", "trace_id", "span_id"})
_INSTALLED = re.compile(r'File "[^"]*(?:site-packages|dist-packages|/lib/python3)|File "<frozen ')

#: A part of a line as it is printed, and how many columns it takes.
_Part = tuple[str, int]


def lay_out(line: Mapping[str, Any], columns: int, paint: Paint) -> str:
    """Return plain *line* laid out for a terminal that is *columns* wide.

    Args:
        line: its ``timestamp`` is as `pretty.local_time` writes it.
        columns: of the terminal; between fields, nothing goes beyond.
        paint: puts text into colour.
    """
    timestamp, level, logger, event = (printable(str(line.get(name, "")).rstrip()) for name in _HEAD)
    head = f"{paint(timestamp[11:], DIM)} {paint(f'{level:<8}', LEVELS.get(level, BOLD))} {paint(event, BOLD)}"
    fields = {key: value for key, value in line.items() if key not in _HEAD and key not in _BLOCKS}
    parts = list(_parts(fields, logger, paint))
    padding = max(_EVENT_WIDTH - width(event), 0) if parts else 0
    used = _INDENT + width(event) + padding
    blocks = [_block(str(line[name]), paint) for name in _BLOCKS if name in line]
    return "\n".join([head + " " * padding + _wrap(parts, used, columns), *blocks, ""])


def width(text: str) -> int:
    """Return how many columns printable *text* takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _parts(fields: Mapping[str, Any], logger: str, paint: Paint) -> Iterator[_Part]:
    """Return the fields: the event's own first, then what is bound and the logger, dimmed."""
    keys = list(fields)
    first = keys.index(_FIRST_BOUND) if _FIRST_BOUND in fields else len(keys)
    bound = [key for number, key in enumerate(keys) if number >= first or key in _BOUND]
    for key in [key for key in keys if key not in bound]:
        yield _field(key, fields[key], paint, dimmed=False)
    for key in bound:
        yield _field(key, fields[key], paint, dimmed=True)
    if not logger.startswith("dtx_telemetry."):  # ours are told by their events
        yield paint(f"[{logger}]", DIM), width(logger) + 2


def _field(key: str, value: Any, paint: Paint, *, dimmed: bool) -> _Part:
    name, text = key_text(key), _text(key, value)
    size = width(name) + 1 + width(text)
    if key == _FIRST_BOUND and isinstance(value, str):
        return f"{paint(f'{name}=', DIM)}{paint(text, colour_of(value))}", size
    if dimmed:
        return paint(f"{name}={text}", DIM), size
    return f"{paint(name, CYAN)}={paint(text, RED if key == 'error' else '')}", size


def _text(key: str, value: Any) -> str:
    if key in _IDS and isinstance(value, str):
        return value_text(value[:CUT])
    if key == "labels" and isinstance(value, list):
        return printable(",".join(map(str, value)))
    return value_text(value)


def _wrap(parts: Iterable[_Part], used: int, columns: int) -> str:
    """Return *parts* behind the *used* columns, those that do not fit in lines of their own, indented."""
    text, column = "", used
    for part, size in parts:
        if column + 1 + size > columns and column > _INDENT:
            text, column = f"{text}\n{' ' * _INDENT}{part}", _INDENT + size
        else:
            text, column = f"{text} {part}", column + 1 + size
    return text


def _block(text: str, paint: Paint) -> str:
    """Indent a traceback; dim the frames of installed packages, and make its last words red."""
    lines = [printable(part) for part in text.rstrip().split("\n")]
    last = max((number for number, part in enumerate(lines) if part.startswith("  ")), default=-1)
    shown: list[str] = []
    installed = False
    for number, part in enumerate(lines):
        if part.startswith("  File "):
            installed = _INSTALLED.search(part) is not None
        in_frame = part.startswith("  ")
        colour = RED if number > last else DIM if in_frame and installed else ""
        shown.append(f"    {paint(part, colour)}")
    return "\n".join(shown)
