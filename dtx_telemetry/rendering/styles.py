"""Colours of a terminal, as ECMA-48 has them (section 8.3.117, SGR)."""

import os
import zlib
from collections.abc import Callable

__all__ = ["BOLD", "CYAN", "DIM", "LEVELS", "MAGENTA", "NAME", "RED", "Paint", "colour_of", "leave", "paint", "wants_colour"]

#: Puts a text into a colour, or leaves it as it is.
Paint = Callable[[str, str], str]

_RESET, BOLD, DIM = "\x1b[0m", "\x1b[1m", "\x1b[2m"
RED, _GREEN, _YELLOW, NAME, MAGENTA, CYAN = (f"\x1b[{number}m" for number in range(31, 37))
#: By level.
LEVELS = {"debug": NAME, "info": _GREEN, "warning": _YELLOW, "error": RED, "critical": RED + BOLD}
# Of the 256 colours those that can be read on black and on white.
_HUES = (
    *(31, 32, 33, 35, 36, 38, 62, 63, 65, 69, 70, 72, 97, 99, 103, 104, 108, 131, 132, 133, 134, 136, 137, 139, 166, 168, 170),
    172,
)


def paint(text: str, colour: str) -> str:
    """Return *text* in *colour*, an empty one being none."""
    return f"{colour}{text}{_RESET}" if colour else text


def leave(text: str, _colour: str) -> str:
    """Return *text*."""
    return text


def colour_of(identifier: str) -> str:
    """Return a colour that is the same for an id in all processes."""
    return f"\x1b[38;5;{_HUES[zlib.crc32(identifier.encode('utf-8', 'replace')) % len(_HUES)]}m"


def wants_colour() -> bool | None:
    """Return what ``NO_COLOR`` (https://no-color.org) and ``FORCE_COLOR`` ask for, or a dumb terminal; ``None`` for nothing."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return False if os.environ.get("TERM") == "dumb" else None
