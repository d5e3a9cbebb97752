"""The terminal, by rich: plain text, whatever stands in it."""

import sys
from io import TextIOWrapper
from typing import NoReturn

from rich.console import Console
from rich.text import Text

from ...rendering.terminal import printable

__all__ = ["make_console", "safe"]


def make_console(*, stderr: bool = False) -> Console:
    """Return a console that takes nothing for markup and breaks no lines by itself."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # where the locale has no lines to draw with
    return _Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


class _Console(Console):
    """Leaves it to the command what follows when nobody reads any more. rich ends the process with an error."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def safe(text: object, style: str = "") -> Text:
    """Return *text* as it may be shown: with nothing in it that drives a terminal."""
    return Text(printable(str(text)), style=style)
