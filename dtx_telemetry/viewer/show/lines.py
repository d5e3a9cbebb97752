"""Lines in the development format, as our standard output can show them."""

import shutil
import sys

from ...rendering.pretty import PrettyRenderer, local_time
from ...rendering.sanitizer import Sanitizer
from ...rendering.secrets import Secrets
from ...rendering.terminal import leave, paint, wants_colour
from ..reading.line import Line

__all__ = ["LinePainter"]

# Values come as they were printed, so nothing is cut a second time.
_NO_LIMIT = sys.maxsize // 4


class LinePainter:
    """Renders lines, in colour and laid out for its width if standard output is a terminal.

    Attributes:
        is_terminal: whether it is.
        paint: colours a text, if it is to be coloured.
    """

    def __init__(self) -> None:
        self.is_terminal, wanted = sys.stdout.isatty(), wants_colour()
        coloured = self.is_terminal if wanted is None else wanted
        self.paint = paint if coloured else leave
        self._taken = 0
        self._renderer = PrettyRenderer(
            Sanitizer(Secrets(), _NO_LIMIT),
            lambda: coloured,
            lambda: shutil.get_terminal_size().columns - self._taken if self.is_terminal else None,
        )

    def encode(self, line: Line, taken: int = 0) -> bytes:
        """Return *line* as it is shown, behind a text that takes so many columns."""
        self._taken = taken
        return self._renderer.encode({**line.fields, "timestamp": local_time(line.time)})
