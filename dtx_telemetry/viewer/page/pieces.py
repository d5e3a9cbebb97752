"""Whole lines out of what was read so far."""

__all__ = ["PIECE", "LineCutter"]

#: Bytes that are read at once: few enough that a server in the same thread answers between two pieces.
PIECE = 64 * 1024
# A longer line is cut there: no input may fill the memory.
_MAX_LENGTH = 16 * 1024 * 1024


class LineCutter:
    """Cuts what comes in pieces into lines, and keeps the beginning of a line until its end is there."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._length = 0

    def cut(self, piece: bytes) -> list[bytes]:
        """Return the lines that *piece* ends, without their line feeds."""
        end = piece.rfind(b"\n")
        if end < 0 and self._length + len(piece) <= _MAX_LENGTH:
            self._keep(piece)
            return []
        whole = b"".join([*self._parts, piece[:end] if end >= 0 else piece])
        self._parts, self._length = [], 0
        if 0 <= end < len(piece) - 1:
            self._keep(piece[end + 1 :])
        return whole.split(b"\n")

    def rest(self) -> list[bytes]:
        """Return the last line, which nothing ended, if there is one."""
        return [b"".join(self._parts)] if self._parts else []

    def _keep(self, part: bytes) -> None:
        self._parts.append(part)
        self._length += len(part)
