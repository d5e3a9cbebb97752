"""Finding lines by a text in them before any is parsed: most of a large file is of no interest."""

from collections.abc import Iterable, Iterator, Sequence

from .line import Line
from .unwrap import Unwrapper, has_pieces, parse

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
            continue
        for raw in lines_with(piece, texts):
            line = parse(raw)
            unwrapper.lines += 1
            if line is not None:
                yield line
            else:
                unwrapper.foreign += 1


def lines_with(piece: bytes, texts: Sequence[bytes]) -> Iterator[bytes]:
    """Return the lines of *piece* that have one of *texts* in them."""
    return _lines_with_one(piece, texts[0]) if len(texts) == 1 else _lines_with_any(piece, texts)


def _lines_with_any(piece: bytes, texts: Sequence[bytes]) -> Iterator[bytes]:
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


def _lines_with_one(piece: bytes, text: bytes) -> Iterator[bytes]:
    find, rfind = piece.find, piece.rfind
    position = find(text)
    while position >= 0:
        end = find(b"\n", position)
        if end < 0:
            end = len(piece)
        yield piece[rfind(b"\n", 0, position) + 1 : end]
        position = find(text, end)
