"""Finding lines by a text in them before any is parsed: most of a large file is of no interest."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from .envelope import parse_all, parse_plain
from .line import Line
from .unwrap import Unwrapper, has_pieces

__all__ = ["find_lines", "lines_with"]

#: The time that our lines begin with, also in a text of JSON.
_TIMESTAMP = re.compile(rb'\\?"timestamp\\?": ?\\?"(?=\d{4}-\d\d-)')
#: Within so many bytes.
_MAX_BEGINNING = 80


def find_lines(
    pieces: Iterable[bytes], texts: Sequence[bytes], unwrapper: Unwrapper, *, thorough: bool = False
) -> Iterator[list[Line]]:
    """Return, piece by piece, the lines that may have one of *texts* in them, and perhaps others.

    Args:
        pieces: of whole lines.
        texts: to look for in the bytes, so nothing that JSON may write in more than one way; none for all lines.
        unwrapper: counts what is foreign among those that are looked at.
        thorough: read a piece whole if not all of its lines look like ours: others may have no such text, and are counted.
    """
    for piece in pieces:
        if not texts or unwrapper.holds_pieces or has_pieces(piece) or (thorough and not _is_ours(piece)):
            yield [*unwrapper.read(piece.removesuffix(b"\n").split(b"\n"))]
            continue
        raws = [*lines_with(piece, texts)]
        unwrapper.lines += piece.count(b"\n") + (not piece.endswith(b"\n")) if thorough else len(raws)
        lines: list[Line] = []
        for raw in raws:
            if (line := parse_plain(raw)) is not None:
                lines.append(line)
            elif found := parse_all(raw):
                lines += found
            else:
                unwrapper.pass_over(raw)
        yield lines
    yield [found for found in unwrapper.rest() if isinstance(found, Line)]


def _is_ours(piece: bytes) -> bool:
    """Return whether all lines begin as the first one does, which is ours."""
    first = piece[: piece.find(b"\n")]
    found = _TIMESTAMP.search(first, 0, _MAX_BEGINNING)
    return found is not None and b"event" in first and _others(first[: found.end()]).search(piece) is None


@lru_cache(maxsize=64)
def _others(beginning: bytes) -> re.Pattern[bytes]:
    """Return what finds a line that does not begin with *beginning*. One pass: it is done for all bytes that are read."""
    return re.compile(rb"\n(?!%b|\Z)" % re.escape(beginning))


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
