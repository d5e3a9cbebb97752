"""Finding lines by a text in them before any is parsed: most of a large file is of no interest."""

from collections.abc import Iterable, Iterator, Sequence

from .line import Line
from .unwrap import Unwrapper, has_pieces

__all__ = ["find_lines", "lines_with"]


def find_lines(pieces: Iterable[bytes], texts: Sequence[bytes], unwrapper: Unwrapper) -> Iterator[Line]:
    """Return the lines that may have one of *texts* in them.

    Args:
        pieces: of whole lines.
        texts: to look for in the bytes, so nothing that JSON may write in more than one way.
        unwrapper: counts what is foreign among them.
    """
    for piece in pieces:
        if unwrapper.holds_pieces or has_pieces(piece):
            yield from unwrapper.read(piece.split(b"\n"))
        else:
            yield from unwrapper.read(lines_with(piece, texts))


def lines_with(piece: bytes, texts: Sequence[bytes]) -> Iterator[bytes]:
    """Return the lines of *piece* that have one of *texts* in them."""
    found = {text: piece.find(text) for text in texts}
    while positions := [position for position in found.values() if position >= 0]:
        position = min(positions)
        start = piece.rfind(b"\n", 0, position) + 1
        end = piece.find(b"\n", position)
        end = len(piece) if end < 0 else end
        yield piece[start:end]
        for text, position in found.items():
            if 0 <= position < end:
                found[text] = piece.find(text, end)
