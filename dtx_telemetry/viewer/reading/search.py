"""Finding lines by a text in them before any is parsed: most of a large file is of no interest."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from .envelope import parse_all, parse_plain
from .line import LEVELS, Line
from .pieces import lines_of
from .unwrap import Unwrapper, has_pieces

__all__ = ["find_lines", "lines_with"]

#: How our lines begin, also in a text of JSON, within so many bytes.
_BEGINNING = re.compile(rb'\\?"timestamp\\?": ?\\?"')
_MAX_BEGINNING = 80


def find_lines(
    pieces: Iterable[bytes], texts: Sequence[bytes], unwrapper: Unwrapper, *, thorough: bool = False
) -> Iterator[list[Line]]:
    """Return, piece by piece, the lines that may have one of *texts* in them, and perhaps others.

    Args:
        pieces: of whole lines.
        texts: to look for in the bytes, so nothing that JSON may write in more than one way. Empty for all lines.
        unwrapper: counts what is foreign among those that are looked at.
        thorough: read a piece whole if not all of its lines look like ours: others may have no such text, and are counted.
    """
    for piece in pieces:
        beginning = _common_beginning(piece) if thorough else b""
        if not texts or unwrapper.holds_pieces or has_pieces(piece) or beginning is None:
            yield [*unwrapper.read(lines_of(piece))]
            continue
        raws = lines_with(piece, texts)
        unwrapper.lines += piece.count(b"\n") + (not piece.endswith(b"\n")) if thorough else len(raws)
        yield _parsed(raws, unwrapper)
    yield [found for found in unwrapper.rest() if isinstance(found, Line)]


def _parsed(raws: Iterable[bytes], unwrapper: Unwrapper) -> list[Line]:
    lines: list[Line] = []
    for raw in raws:
        if (line := parse_plain(raw)) is not None:
            lines.append(line)
        elif found := parse_all(raw):
            lines += found
        else:
            unwrapper.pass_over(raw)
    return lines


def _common_beginning(piece: bytes) -> bytes | None:
    """Return what all lines begin with, ``None`` if not all of them have our four fields first."""
    found = _BEGINNING.search(piece[: piece.find(b"\n")], 0, _MAX_BEGINNING)
    if found is None:
        return None
    beginning = piece[: found.end()]
    ours, others = _patterns(beginning)
    return beginning if ours.match(piece) is not None and others.search(piece) is None else None


@lru_cache(maxsize=64)
def _patterns(beginning: bytes) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Return what finds that a line of ours begins with *beginning*, and what finds one that does not.

    One pass: it is done for all bytes that are read.
    """
    quote, room = rb'\\"' if beginning.endswith(b'\\"') else b'"', b" " if b" " in beginning[-3:] else b""
    known = b"(?:%b)" % b"|".join(level.encode() for level in LEVELS)
    names = {b"level": b'[^"]*', b"logger": known, b"event": b'[^"]*'}
    between = b"%b,%b%b%%b%b:%b%b" % (quote, room, quote, quote, room, quote)
    fields = b"".join(before + between % name for name, before in names.items())
    ours = rb"%b\d{4}-\d\d-%b" % (re.escape(beginning), fields)
    return re.compile(ours), re.compile(rb"\n(?!%b|\Z)" % ours)


def lines_with(piece: bytes, texts: Sequence[bytes]) -> list[bytes]:
    """Return the lines of *piece* that have one of *texts* in them."""
    find, rfind = piece.find, piece.rfind
    found: dict[int, bytes] = {}
    for text in texts:
        position = find(text)
        while position >= 0:
            end = find(b"\n", position)
            if end < 0:
                end = len(piece)
            start = rfind(b"\n", 0, position) + 1
            found[start] = piece[start:end]
            position = find(text, end)
    return [*found.values()] if len(texts) == 1 else [found[start] for start in sorted(found)]
