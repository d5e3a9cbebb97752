"""How the lines are shown: pretty, each with its process before it, or as they came."""

import shutil
import sys
from datetime import datetime
from typing import Any, TextIO

from ..rendering import PrettyRenderer, Sanitizer, Secrets, local_time
from ..rendering.terminal import wants_colour

__all__ = ["PrettyPrinter", "RawPrinter", "coloured"]

_WIDTH = 6
_COLOURS = {"web": 32, "worker": 33, "socket": 36}
_MAX_VALUE_LENGTH = 16384


class RawPrinter:
    """Prints events as they came on stdout, and what else the processes say on stderr."""

    def event(self, process: str, text: str, fields: dict[str, Any]) -> None:
        _write(sys.stdout, text)

    def other(self, process: str, text: str) -> None:
        _write(sys.stderr, f"{process:<{_WIDTH}} | {text}")


class PrettyPrinter:
    """Events as ``LOG_FORMAT=pretty`` shows them."""

    def __init__(self) -> None:
        self._coloured = coloured()
        self._render = PrettyRenderer(Sanitizer(Secrets(), _MAX_VALUE_LENGTH), lambda: self._coloured, _columns).render

    def event(self, process: str, text: str, fields: dict[str, Any]) -> None:
        seconds = datetime.fromisoformat(fields["timestamp"]).timestamp()
        rendered = self._render({**fields, "timestamp": local_time(seconds)}).decode()
        for part in rendered.splitlines():
            self.other(process, part)

    def other(self, process: str, text: str) -> None:
        name = f"{process:<{_WIDTH}} |"
        _write(sys.stdout, f"\x1b[{_COLOURS.get(process, 35)}m{name}\x1b[0m {text}" if self._coloured else f"{name} {text}")


def coloured() -> bool:
    """Return True to colour, by the same rule as for the library's own pretty lines."""
    wanted = wants_colour()
    return sys.stdout.isatty() if wanted is None else wanted


def _columns() -> int | None:
    """Return how many columns of the terminal are left beside the name of the process, ``None`` if there is no terminal."""
    return shutil.get_terminal_size().columns - _WIDTH - 3 if sys.stdout.isatty() else None


def _write(stream: TextIO, text: str) -> None:
    """Write a line. If nobody reads any more, the main thread notices."""
    try:
        print(text, file=stream, flush=True)
    except OSError:
        return
