"""What a terminal obeys, and what it is told: text that is safe to look at, how wide it is, and colours."""

import os
import re
import unicodedata
import zlib
from collections.abc import Callable

__all__ = [
    "BOLD",
    "CYAN",
    "DIM",
    "LEVELS",
    "MAGENTA",
    "NAME",
    "RED",
    "Paint",
    "colour_of",
    "escape_in_json",
    "leave",
    "paint",
    "printable",
    "wants_colour",
    "width",
]

# What JSON lets through and a terminal or a reader of lines obeys: DEL and C1 (ECMA-48), the controls of the writing direction
# (Unicode Standard Annex 9), and the line and paragraph separators. C0 is escaped by JSON itself.
_OBEYED = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f]")

#: Puts a text into a colour, or leaves it as it is.
Paint = Callable[[str, str], str]

# Select Graphic Rendition, ECMA-48, section 8.3.117.
_RESET, BOLD, DIM = "\x1b[0m", "\x1b[1m", "\x1b[2m"
RED, _GREEN, _YELLOW, NAME, MAGENTA, CYAN = (f"\x1b[{number}m" for number in range(31, 37))
#: By level.
LEVELS = {"debug": NAME, "info": _GREEN, "warning": _YELLOW, "error": RED, "critical": RED + BOLD}
# Of the 256 colours those that can be read on black and on white.
_HUES = (
    *(31, 32, 33, 35, 36, 38, 62, 63, 65, 69, 70, 72, 97, 99, 103, 104, 108, 131, 132, 133, 134, 136, 137, 139, 166, 168, 170),
    172,
)


def printable(text: str) -> str:
    """Return *text* with everything that is not printable (control characters, bidi overrides, newlines) as its escape.

    Printable is what ``str.isprintable`` says. The escapes are Python's.
    """
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else _escape(char) for char in text])


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")


def escape_in_json(text: str) -> str:
    """Return the JSON *text* with control characters and bidi overrides as escapes. They stand in its strings alone."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def width(text: str) -> int:
    """Return how many columns printable *text* takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def paint(text: str, colour: str) -> str:
    """Return *text* in *colour*. An empty colour leaves it as it is."""
    return f"{colour}{text}{_RESET}" if colour else text


def leave(text: str, _colour: str) -> str:
    """Return *text*."""
    return text


def colour_of(identifier: str) -> str:
    """Return a colour that is the same for an id in all processes."""
    return f"\x1b[38;5;{_HUES[zlib.crc32(identifier.encode('utf-8', 'replace')) % len(_HUES)]}m"


def wants_colour() -> bool | None:
    """Return what ``NO_COLOR`` (https://no-color.org), ``FORCE_COLOR`` or a dumb terminal ask for, else ``None``."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return False if os.environ.get("TERM") == "dumb" else None
