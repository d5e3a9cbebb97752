"""Makes lines of what was read: joins the pieces that runtimes cut long lines into, and the lines of a document.

Docker's JSON files and the CRI's ``TIME stdout F LINE`` cut lines into pieces. What ``aws``, ``gcloud``, ``az`` and others
print as JSON for people is one document of many lines, each of which but the last is indented.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from .envelope import parse_all
from .line import Line

__all__ = ["Unwrapper", "has_pieces"]

# https://kubernetes.io/docs/concepts/cluster-administration/logging/: P marks a piece of a line, F its last one.
_CRI = re.compile(rb"\d{4}-\d\d-\d\dT\S+ (stdout|stderr) ([FP])(?::\S*)? (.*)", re.DOTALL)
_CRI_PIECES = (b" stdout P ", b" stderr P ")
_DOCKER = b'{"log":'
# Docker cuts where its buffer is full. A shorter text without a line feed is what somebody wrote who was killed, or a
# collector's, which takes line feeds off.
_DOCKER_PIECE = 16 * 1024
# journald's way to write bytes, with more or less room between.
_MESSAGE = b'"MESSAGE"'
_NUMBERS = re.compile(rb'"MESSAGE" ?: ?\[')
_MAX_LENGTH = 16 * 1024 * 1024
_MAX_DOCUMENT = 256 * 1024 * 1024
_OPENING = re.compile(rb"\s*[\[{](?:.*[\[{])?\s*")
#: What stands alone in a line of a document whose parts are lines themselves.
_PUNCTUATION = (b"[", b"]", b",", b"{", b"}")
#: How lines look that are not JSON, whatever is around them, and what to do about that.
_FORMATS = (
    (
        re.compile(
            rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S* \[[^\]\n]{1,40}\] "
            rb"|\d\d:\d\d:\d\d\.\d{3}\S* \S*(?:debug|info|warning|error|critical)\b"
        ),
        "these lines are `pretty`: set LOG_FORMAT=json",
    ),
    (re.compile(rb"timestamp=\S+ level=\w+ logger="), "these lines are `logfmt`: set LOG_FORMAT=json"),
    (re.compile(rb"\x00"), "this is UTF-16 without its mark, or no text"),
)
_MOST_JUDGED, _JUDGED_LENGTH = 1000, 1000
_NO_JSON = "plain text, not JSON"
_UNKNOWN = "cut, broken or not in this format"


class Unwrapper:
    """Makes lines of what was read.

    Attributes:
        lines: how many lines there were.
        foreign: how many of those were something else: other programs' text, broken or cut JSON.
    """

    def __init__(self) -> None:
        self.lines = 0
        self.foreign = 0
        self._reasons: dict[str, int] = {}
        self._pieces: dict[bytes, bytes] = {}
        self._document: list[bytes] = []
        self._length = 0

    @property
    def holds_pieces(self) -> bool:
        """Whether it waits for the rest of a line, or of a document."""
        return bool(self._pieces or self._document)

    @property
    def reason(self) -> str:
        """What most of the foreign lines are, and what to do about that.

        A format that is known is named also if most lines are text beside it, such as a worker's banner.
        """
        known = {reason: count for reason, count in self._reasons.items() if reason not in (_NO_JSON, _UNKNOWN)}
        counts = known or self._reasons
        return max(counts, key=lambda reason: counts[reason], default=_UNKNOWN)

    def read(self, raws: Iterable[bytes]) -> Iterator[Line]:
        """Return the lines among *raws*."""
        for raw in raws:
            for found in self.take(raw):
                if isinstance(found, Line):
                    yield found

    def take(self, raw: bytes) -> list[Line | bytes]:
        """Return the lines that *raw* holds or completes, something else as it is, and nothing for a piece."""
        if self._document:
            return self._take_part(raw)
        if raw[-1:] in b"[{\r" and _OPENING.fullmatch(raw):
            self._document, self._length = [raw], len(raw)
            return []
        stream, text, is_last = _piece(raw, is_awaited=bool(self._pieces))
        begun = self._pieces.pop(stream, b"")
        whole = begun + text
        if not is_last and len(whole) <= _MAX_LENGTH:
            self._pieces[stream] = whole
            return []
        if begun and parse_all(text):  # who wrote the beginning was killed, and this is the next line
            return [*self._judge(begun), *self._judge(text)]
        return self._judge(whole)

    def rest(self) -> list[Line | bytes]:
        """Return the pieces whose end never came, after everything else."""
        begun = [*self._pieces.values(), *self._document]
        self._pieces.clear()
        self._document = []
        return [found for piece in begun for found in self._judge(piece)]

    def _take_part(self, raw: bytes) -> list[Line | bytes]:
        """Take a line of a document: all are indented but the last, which closes it."""
        is_last = raw.startswith((b"}", b"]"))
        if is_last or raw[:1].isspace() or not raw:
            self._document.append(raw)
            self._length += len(raw)
            if not is_last and self._length <= _MAX_DOCUMENT:
                return []
        parts, self._document = self._document, []
        if is_last and (lines := parse_all(b"\n".join(parts))):
            self.lines += len(lines)
            return [*lines]
        judged = [found for part in parts for found in self._judge(part)]
        return judged if is_last or raw is parts[-1] else [*judged, *self.take(raw)]

    def _judge(self, text: bytes) -> list[Line | bytes]:
        if not text:
            return [text]
        lines = parse_all(text)
        self.lines += len(lines) or 1
        if lines:
            return [*lines]
        if text.strip() in _PUNCTUATION:
            self.lines -= 1
        else:
            self.pass_over(text)
        return [text]

    def pass_over(self, text: bytes) -> None:
        """Count *text* as foreign."""
        self.foreign += 1
        if self.foreign < _MOST_JUDGED:
            other = _UNKNOWN if b"{" in text else _NO_JSON
            reason = next((reason for pattern, reason in _FORMATS if pattern.search(text, 0, _JUDGED_LENGTH)), other)
            self._reasons[reason] = self._reasons.get(reason, 0) + 1


def _piece(raw: bytes, *, is_awaited: bool) -> tuple[bytes, bytes, bool]:
    """Return the stream of the piece of a line that *raw* is, its text, and whether it is the last. A whole line has no stream.

    Args:
        raw: as it was read.
        is_awaited: whether there are pieces that are no last ones.
    """
    if not raw.startswith(b"{"):
        found = _CRI.match(raw)
        return (b"", raw, True) if found is None else (found[1], found[3], found[2] == b"F")
    if not is_awaited and not raw.startswith(_DOCKER):
        return b"", raw, True
    value = _loads(raw)
    text, stream = value.get("log"), value.get("stream")
    if not isinstance(text, str) or not isinstance(stream, str):
        return b"", raw, True
    piece = text.encode("utf-8", "surrogatepass")
    is_last = text.endswith("\n") or len(piece) < _DOCKER_PIECE
    if is_last and not is_awaited:
        return b"", raw, True
    return stream.encode(), piece, is_last


def has_pieces(text: bytes) -> bool:
    """Return whether lines of *text* seem to be cut into pieces, to be parts of a document, or to be written as numbers.

    They cannot then be found by what is in them.
    """
    if text.startswith(_DOCKER):
        return text.count(b'"stream":"std') != text.count(b'\\n","stream":"std')
    end = text.find(b"\n")
    if text.startswith(b"{") and text[end - 1 : end] not in b"{[\r":
        # journald writes all lines of a file, so one of them is asked: to look through all text twice takes twice as long.
        return text.find(_MESSAGE, 0, end) >= 0 and _NUMBERS.search(text) is not None
    if text[:1] in (b"{", b"[", b"}", b"]", b" ", b"\t", b"\r", b"\n"):
        return True
    return any(piece in text for piece in (*_CRI_PIECES, b"\n[\n", b"\n{\n"))


def _loads(raw: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
