"""Lines for people.

In a file, a pipe or a test a line is as the design's example:
``2024-01-15 10:23:45 [info ] request_completed [telemetry.middleware] http.method=GET ...``.
On a terminal it is laid out for eyes: ``10:23:45.123 info     draft_pick_made  hero=Invoker request.id=9596ecf5 user.id=42``.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from .sanitizer import Sanitizer
from .terminal import BOLD, CYAN, DIM, LEVELS, MAGENTA, NAME, RED, Paint, colour_of, leave, paint, printable, width

__all__ = ["CUT", "PrettyRenderer", "lay_out", "local_time"]

_HEAD = ("timestamp", "level", "logger", "event")
_BLOCKS = ("exception", "stack")
#: They join lines for programs, and only take room from people.
_UNSEEN = ("scope.id", "scope.cause")
_BARE = re.compile(r"[^\s\"'=\\]+")

#: Ids, and how many characters of them a terminal shows: enough to tell them apart, and for ``dtx-telemetry trace``.
_IDS = frozenset({"request.id", "task.id", "task.parent_id", "ws.conn_id", "trace_id", "span_id"})
CUT = 8
_EVENT_WIDTH = 24
#: The column where the event begins, and where fields go on that do not fit into its line.
_INDENT = len("HH:MM:SS.mmm ") + len("critical ")
# The first key of what is bound: everything after it is bound too. If a collector has sorted the keys, names tell some.
_FIRST_BOUND = "request.id"
_BOUND = frozenset({"user.id", "labels", "ws.conn_id", "command.name", "operation.name", "trace_id", "span_id"})
_INSTALLED = re.compile(r'File "[^"]*(?:site-packages|dist-packages|/lib/python3)|File "<frozen ')

#: A part of a line as it is printed, and how many columns it takes.
_Part = tuple[str, int]


def local_time(created: float) -> str:
    """Return seconds since the epoch as ``2024-01-15 10:23:45.123``, in the process's own zone."""
    seconds, microseconds = divmod(round(created * 1e6), 1_000_000)  # a float of today has no more digits than these
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds))}.{microseconds // 1000:03d}"


class PrettyRenderer:
    """Renders lines for reading. Their ``timestamp`` is to be as `local_time` writes it.

    Args:
        sanitizer: cleans the lines.
        coloured: whether to colour, asked for each line.
        columns: how wide the terminal is, asked for each line. ``None``: the output is no terminal.
    """

    __slots__ = ("_coloured", "_columns", "_sanitizer")

    def __init__(self, sanitizer: Sanitizer, coloured: Callable[[], bool], columns: Callable[[], int | None]) -> None:
        self._sanitizer = sanitizer
        self._coloured = coloured
        self._columns = columns

    def render(self, line: dict[str, Any]) -> bytes:
        """Render *line*, whatever its values are."""
        return self.encode(self._sanitizer.line(line))

    def encode(self, line: dict[str, Any]) -> bytes:
        """Render a *line* that is plain already."""
        columns = self._columns()
        painted = paint if self._coloured() else leave
        return (_in_one_row(line.copy(), painted) if columns is None else lay_out(line, columns, painted)).encode()


def _in_one_row(line: dict[str, object], paint: Paint) -> str:
    timestamp, level, logger, event = (printable(str(line.pop(name)).rstrip()) for name in _HEAD)
    # Indented, so that no line of a traceback can be taken for an event.
    blocks = [f"    {printable(part)}" for name in _BLOCKS if name in line for part in str(line.pop(name)).split("\n")]
    for name in _UNSEEN:
        line.pop(name, None)
    parts = [
        paint(timestamp.partition(".")[0], DIM),
        f"[{paint(f'{level:<5}', LEVELS.get(level, BOLD))}]",
        paint(event, BOLD),
        f"[{paint(logger, NAME)}]",
        *(f"{paint(_key_text(key), CYAN)}={paint(_value_text(value), MAGENTA)}" for key, value in line.items()),
    ]
    return "\n".join([" ".join(parts), *blocks, ""])


def _key_text(key: str) -> str:
    """Return a key as one word."""
    return printable(key).replace(" ", "_")


def _value_text(value: object) -> str:
    """Return a value as it is if it is one word, else as Python writes it."""
    if type(value) is not str:
        try:
            return printable(str(value))
        except RecursionError:  # a line that the viewer reads: Python 3.11 writes fewer levels than JSON has
            return "[too deep]"
    return value if value.isprintable() and _BARE.fullmatch(value) else repr(value)


def lay_out(line: Mapping[str, object], columns: int, paint: Paint) -> str:
    """Return plain *line* laid out for a terminal that is *columns* wide.

    Args:
        line: its ``timestamp`` is as `local_time` writes it.
        columns: of the terminal. A line is broken between fields only.
        paint: puts text into colour.
    """
    timestamp, level, logger, event = (printable(str(line.get(name, "")).rstrip()) for name in _HEAD)
    head = f"{paint(timestamp[11:], DIM)} {paint(f'{level:<8}', LEVELS.get(level, BOLD))} {paint(event, BOLD)}"
    fields = {key: value for key, value in line.items() if key not in (*_HEAD, *_BLOCKS, *_UNSEEN)}
    parts = list(_parts(fields, logger, paint))
    padding = max(_EVENT_WIDTH - width(event), 0) if parts else 0
    used = _INDENT + width(event) + padding
    blocks = [_block(str(line[name]), paint) for name in _BLOCKS if name in line]
    return "\n".join([head + " " * padding + _wrap(parts, used, columns), *blocks, ""])


def _parts(fields: Mapping[str, object], logger: str, paint: Paint) -> Iterator[_Part]:
    """Yield the fields: the event's own first, then what is bound and the logger, dimmed."""
    keys = list(fields)
    first = keys.index(_FIRST_BOUND) if _FIRST_BOUND in fields else len(keys)
    bound = [key for number, key in enumerate(keys) if number >= first or key in _BOUND]
    for key in [key for key in keys if key not in bound]:
        yield _field(key, fields[key], paint, dimmed=False)
    for key in bound:
        yield _field(key, fields[key], paint, dimmed=True)
    if not logger.startswith("dtx_telemetry."):  # ours are told by their events
        yield paint(f"[{logger}]", DIM), width(logger) + 2


def _field(key: str, value: object, paint: Paint, *, dimmed: bool) -> _Part:
    name, text = _key_text(key), _short_text(key, value)
    size = width(name) + 1 + width(text)
    if key == _FIRST_BOUND and isinstance(value, str):
        return f"{paint(f'{name}=', DIM)}{paint(text, colour_of(value))}", size
    if dimmed:
        return paint(f"{name}={text}", DIM), size
    return f"{paint(name, CYAN)}={paint(text, RED if key == 'error' else '')}", size


def _short_text(key: str, value: object) -> str:
    if key in _IDS and isinstance(value, str):
        return _value_text(value[:CUT])
    if key == "labels" and isinstance(value, list):
        return printable(",".join(map(str, value)))
    return _value_text(value)


def _wrap(parts: Iterable[_Part], used: int, columns: int) -> str:
    """Return *parts* behind the *used* columns. Those that do not fit go on in lines of their own, indented."""
    text, column = "", used
    for part, size in parts:
        if column + 1 + size > columns and column > _INDENT:
            text, column = f"{text}\n{' ' * _INDENT}{part}", _INDENT + size
        else:
            text, column = f"{text} {part}", column + 1 + size
    return text


def _block(text: str, paint: Paint) -> str:
    """Indent a traceback, dim the frames of installed packages, and make its last words red."""
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
