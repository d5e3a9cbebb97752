"""What commands write, on our own terminal: lines of ours in the development format, everything else as it is."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ...rendering.terminal import colour_of
from ..reading.line import Line
from ..reading.pieces import Cutter, lines_of
from ..reading.unwrap import Unwrapper
from ..show.lines import LinePainter

__all__ = ["Screen"]

#: Seconds after which the beginning of what may be a line of ours is shown although its end has not come.
_PATIENCE = 0.2


@dataclass
class _Writer:
    """What one command has written.

    Attributes:
        begun: bytes of its last line, which has not ended, that are shown already.
    """

    cutter: Cutter = field(default_factory=Cutter)
    unwrapper: Unwrapper = field(default_factory=Unwrapper)
    begun: int = 0
    timer: asyncio.TimerHandle | None = None


class Screen:
    """Shows what commands write, each line as it comes.

    Args:
        names: of the commands. With more than one, each line has its command's name in front.
        take: gets the lines of ours.
    """

    problem: str | None = None

    def __init__(self, names: Sequence[str], take: Callable[[Sequence[Line]], None]) -> None:
        self._writers = {name: _Writer() for name in names}
        self._take = take
        self._open: str | None = None
        self._painter = LinePainter()
        self._width = max(map(len, names)) + 3 if len(names) > 1 else 0

    @property
    def unwrappers(self) -> list[Unwrapper]:
        return [writer.unwrapper for writer in self._writers.values()]

    def show(self, name: str, piece: bytes) -> None:
        """Show the next *piece* of what a command writes."""
        writer = self._writers[name]
        for raw in lines_of(writer.cutter.take(piece)):
            self._line(name, writer, raw.removesuffix(b"\r"), b"\n")
        self._begin(name, writer)
        sys.stdout.buffer.flush()

    def end(self, name: str) -> None:
        """Show what has no end."""
        writer = self._writers[name]
        if (rest := writer.cutter.begun) or writer.unwrapper.holds_pieces:
            writer.cutter = Cutter()
            self._line(name, writer, rest, b"\n")
        sys.stdout.buffer.flush()

    def say(self, text: str) -> None:
        """Say something of our own."""
        self._break(None)
        sys.stdout.buffer.flush()
        sys.stderr.write(f"dtx-telemetry: {text}\n")
        sys.stderr.flush()

    def _line(self, name: str, writer: _Writer, raw: bytes, end: bytes) -> None:
        if writer.timer is not None:
            writer.timer.cancel()
        shown, writer.begun = writer.begun, 0
        found = writer.unwrapper.take(raw)
        lines = [each for each in found if isinstance(each, Line)]
        if self._width:
            for line in lines:
                line.source = name
        if lines:
            self._take(lines)
        if shown:
            self._write(name, raw[shown:] + end, begins=False)
            return
        for each in found:
            self._write(name, self._painter.encode(each, self._width) if isinstance(each, Line) else each + end)

    def _begin(self, name: str, writer: _Writer) -> None:
        """Show a line's beginning, such as a prompt: at once, unless it may become a line of ours."""
        rest = writer.cutter.begun
        if len(rest) > writer.begun:
            if b"{" not in rest:
                self._show_begun(name, writer)
            elif writer.timer is None or writer.timer.cancelled():
                writer.timer = asyncio.get_running_loop().call_later(_PATIENCE, self._show_begun, name, writer)

    def _show_begun(self, name: str, writer: _Writer) -> None:
        writer.timer = None
        rest = writer.cutter.begun
        if len(rest) > writer.begun:
            self._write(name, rest[writer.begun :], begins=not writer.begun)
            writer.begun = len(rest)
            sys.stdout.buffer.flush()

    def _write(self, name: str, text: bytes, *, begins: bool = True) -> None:
        if begins or self._open != name:
            self._break(name)
        before = self._before(name)
        if before:
            body, end = (text[:-1], b"\n") if text.endswith(b"\n") else (text, b"")
            text = (before if begins else b"") + body.replace(b"\n", b"\n" + before) + end
        sys.stdout.buffer.write(text)
        self._open = None if text.endswith(b"\n") else name

    def _break(self, name: str | None) -> None:
        """End the line that a command has left open on the screen."""
        if self._open is not None and self._open != name:
            sys.stdout.buffer.write(b"\n")
            self._open = None

    def _before(self, name: str) -> bytes:
        if not self._width:
            return b""
        return self._painter.paint(f"{name:<{self._width - 3}} | ", colour_of(name)).encode()
