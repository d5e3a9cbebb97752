"""Lines for people: ``2024-01-15 10:23:45 [info ] request_completed [telemetry.middleware] http.method=GET ...``."""

import re
from collections.abc import Callable
from typing import Any

from .escape import printable
from .sanitizer import Sanitizer

__all__ = ["PrettyRenderer"]

_BARE = re.compile(r"[^\s\"'=\\]+")
# ECMA-48, section 8.3.117 (SGR).
_RESET, _BOLD, _DIM = "\x1b[0m", "\x1b[1m", "\x1b[2m"
_RED, _GREEN, _YELLOW, _BLUE, _MAGENTA, _CYAN = (f"\x1b[{number}m" for number in range(31, 37))
_LEVEL_COLOURS = {"debug": _BLUE, "info": _GREEN, "warning": _YELLOW, "error": _RED, "critical": _RED + _BOLD}
_HEAD = ("timestamp", "level", "logger", "event")
_BLOCKS = ("exception", "stack")


class PrettyRenderer:
    """Renders lines for reading in a terminal.

    Args:
        sanitizer: cleans the lines.
        coloured: whether to colour, asked for each line.
    """

    __slots__ = ("_coloured", "_sanitizer")

    def __init__(self, sanitizer: Sanitizer, coloured: Callable[[], bool]) -> None:
        self._sanitizer = sanitizer
        self._coloured = coloured

    def render(self, line: dict[str, Any]) -> bytes:
        return self.encode(self._sanitizer.line(line))

    def encode(self, line: dict[str, Any]) -> bytes:
        return _render(line.copy(), _paint if self._coloured() else _leave).encode()


def _render(line: dict[str, Any], paint: Callable[[str, str], str]) -> str:
    timestamp, level, logger, event = (printable(str(line.pop(name)).rstrip()) for name in _HEAD)
    blocks = [_block(str(line.pop(name))) for name in _BLOCKS if name in line]
    parts = [
        paint(timestamp, _DIM),
        f"[{paint(f'{level:<5}', _LEVEL_COLOURS.get(level, _BOLD))}]",
        paint(event, _BOLD),
        f"[{paint(logger, _BLUE)}]",
        *(f"{paint(_key(key), _CYAN)}={paint(_value(value), _MAGENTA)}" for key, value in line.items()),
    ]
    return "\n".join([" ".join(parts), *blocks, ""])


def _key(key: str) -> str:
    return printable(key).replace(" ", "_")


def _value(value: Any) -> str:
    if type(value) is not str:
        return printable(str(value))
    return value if value.isprintable() and _BARE.fullmatch(value) else repr(value)


def _block(text: str) -> str:
    """Indent a text of several lines, so that none of them can be taken for an event."""
    return "\n".join([f"    {printable(part)}" for part in text.split("\n")])


def _paint(text: str, colour: str) -> str:
    return f"{colour}{text}{_RESET}"


def _leave(text: str, _colour: str) -> str:
    return text
