"""What was read, cut anew so that each piece ends where a line ends."""

from collections.abc import Iterable, Iterator

__all__ = ["PIECE", "Cutter", "lines_of", "whole_lines"]

#: Bytes that are read at once: few enough for the processor's caches, and for a server that answers between two pieces.
PIECE = 64 * 1024
# A longer line is cut there: no input may fill the memory.
_MAX_LENGTH = 16 * 1024 * 1024


class Cutter:
    """Keeps the beginning of a line until its end is there."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []
        self._length = 0

    @property
    def begun(self) -> bytes:
        """What is there of a line that nothing has ended."""
        return b"".join(self._begun)

    def take(self, piece: bytes) -> bytes:
        """Return the lines that *piece* ends, their line feeds included, nothing if it ends none."""
        end = piece.rfind(b"\n") + 1
        if not end and self._length + len(piece) > _MAX_LENGTH:
            end = len(piece)
        # A view: the most of the piece is copied once, not twice.
        whole = b"".join([*self._begun, memoryview(piece)[:end]]) if end else b""
        if end:
            self._begun, self._length = [], 0
        if end < len(piece):
            self._begun.append(piece[end:])
            self._length += len(piece) - end
        return whole


def whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Return *pieces* cut anew, so that each ends where a line ends."""
    cutter = Cutter()
    for piece in pieces:
        if whole := cutter.take(piece):
            yield whole
    if rest := cutter.begun:
        yield rest


def lines_of(piece: bytes) -> list[bytes]:
    """Return the lines of a piece, without their line feeds."""
    return piece.removesuffix(b"\n").split(b"\n") if piece else []
