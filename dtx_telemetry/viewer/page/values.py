"""Values as text that may be shown."""

from typing import Any

import orjson

from ...rendering.terminal import printable

__all__ = ["block", "short", "text"]

_SHORT = 200
_LONG = 20_000


def text(value: Any, most: int = _LONG) -> str:
    """Return *value* in one line of at most so many characters, with nothing in it that could turn or hide text."""
    said = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return printable(said if len(said) <= most else f"{said[:most]}…")


def short(value: Any) -> str:
    """Return *value* for a list."""
    return text(value, _SHORT)


def block(value: Any) -> str:
    """Return a text of several lines, such as a traceback."""
    said = value if isinstance(value, str) else text(value)
    return "\n".join(map(printable, said[:_LONG].split("\n")))
