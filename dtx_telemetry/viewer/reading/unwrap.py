"""Takes off what container runtimes and collectors put around a line, and joins the pieces that they cut long lines into.

Docker's JSON files, the CRI's ``TIME stdout F LINE``, journald's JSON, and any text before the line, such as the pod's name
that ``kubectl logs --prefix``, ``stern`` and ``docker compose logs`` print.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from .line import Line

__all__ = ["Unwrapper", "has_pieces", "parse"]

# https://kubernetes.io/docs/concepts/cluster-administration/logging/: P marks a piece of a line, F its last one.
_CRI = re.compile(rb"\d{4}-\d\d-\d\dT\S+ (stdout|stderr) ([FP])(?::\S*)? (.*)", re.DOTALL)
#: Where Docker, journald, Loki and most collectors keep the line that they took.
_INNER = ("log", "MESSAGE", "message", "line")
_CRI_PIECES = (b" stdout P ", b" stderr P ")
_DOCKER = b'{"log":'
_MAX_LENGTH = 16 * 1024 * 1024


class Unwrapper:
    """Makes lines of what was read.

    Attributes:
        lines: how many lines there were.
        foreign: how many of those were something else: other programs' text, broken or cut JSON.
    """

    def __init__(self) -> None:
        self.lines = 0
        self.foreign = 0
        self._pieces: dict[bytes, bytes] = {}

    @property
    def holds_pieces(self) -> bool:
        """Whether it waits for the rest of a line."""
        return bool(self._pieces)

    def read(self, raws: Iterable[bytes]) -> Iterator[Line]:
        """Return the lines among *raws*."""
        for raw in raws:
            line = self.take(raw)
            if isinstance(line, Line):
                yield line

    def take(self, raw: bytes) -> Line | bytes | None:
        """Return the line that *raw* holds or completes; what is something else, as it is; ``None`` for a piece."""
        whole = self._whole(raw)
        if not whole:
            return None if raw else raw
        self.lines += 1
        line = parse(whole)
        if line is None:
            self.foreign += 1
        return whole if line is None else line

    def _whole(self, raw: bytes) -> bytes:
        """Return *raw* with the pieces before it, nothing where more are to come."""
        if not raw.startswith(b"{"):
            found = _CRI.match(raw)
            return raw if found is None else self._join(found[1], found[3], last=found[2] == b"F")
        if self._pieces or raw.startswith(_DOCKER):
            return self._whole_of_docker(raw)
        return raw

    def _whole_of_docker(self, raw: bytes) -> bytes:
        """Docker ends a whole line with a line feed, and a piece without one; collectors end none so."""
        value = _loads(raw)
        text, stream = value.get("log"), value.get("stream")
        if not isinstance(text, str) or not isinstance(stream, str):
            return raw
        piece = text.encode("utf-8", "surrogatepass")
        if stream.encode() in self._pieces:
            return self._join(stream.encode(), piece, last=text.endswith("\n"))
        cut = "{" in text and not text.endswith("\n") and parse(piece) is None
        return self._join(stream.encode(), piece, last=False) if cut else raw

    def _join(self, stream: bytes, piece: bytes, *, last: bool) -> bytes:
        whole = self._pieces.pop(stream, b"") + piece
        if last or len(whole) > _MAX_LENGTH:
            return whole
        self._pieces[stream] = whole
        return b""


def has_pieces(text: bytes) -> bool:
    """Whether a runtime seems to have cut lines of *text* into pieces: none of them can then be judged by itself."""
    if text.startswith(_DOCKER):
        return text.count(b'"stream":"std') != text.count(b'\\n","stream":"std')
    return not text.startswith(b"{") and any(piece in text for piece in _CRI_PIECES)


def parse(raw: bytes) -> Line | None:
    """Return the line that is in *raw*, whatever is around it; ``None`` where there is none."""
    if not raw.startswith(b"{"):
        start = raw.find(b"{")
        if start < 0:
            return None
        raw = raw[start:]
    # Written out: this is done for every line that is read.
    try:
        value = orjson.loads(raw)
        timestamp = value["timestamp"]
        if type(timestamp) is type(value["level"]) is type(value["logger"]) is type(value["event"]) is str:
            return Line(value, raw) if timestamp[4:5] == timestamp[7:8] == "-" else None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        pass
    else:
        return None
    return _wrapped_line(raw)


def _wrapped_line(raw: bytes) -> Line | None:
    wrapper = _loads(raw)
    text = next((_bytes(wrapper[name]) for name in _INNER if name in wrapper), b"")
    return parse(text.strip())


def _bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    try:  # a list of numbers is journald's way to write bytes
        return bytes(value) if isinstance(value, list) else b""
    except (TypeError, ValueError):
        return b""


def _loads(raw: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
