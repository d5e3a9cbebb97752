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
# Docker cuts where its buffer is full. A shorter text without a line feed is what somebody wrote who was killed, or a
# collector's, which takes line feeds off.
_DOCKER_PIECE = 16 * 1024
# journald's way to write bytes, with more or less room between.
_MESSAGE = b'"MESSAGE"'
_NUMBERS = re.compile(rb'"MESSAGE" ?: ?\[')
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
            for found in self.take(raw):
                if isinstance(found, Line):
                    yield found

    def take(self, raw: bytes) -> list[Line | bytes]:
        """Return the line that *raw* holds or completes; what is something else, as it is; nothing for a piece."""
        stream, text, is_last = _piece(raw, is_awaited=bool(self._pieces))
        begun = self._pieces.pop(stream, b"")
        whole = begun + text
        if not is_last and len(whole) <= _MAX_LENGTH:
            self._pieces[stream] = whole
            return []
        found = self._judge(whole)
        if begun and not isinstance(found, Line):
            line = parse(text)
            if line is not None:  # who wrote the beginning was killed, and this is the next line
                self.lines += 1
                return [begun, line]
        return [found]

    def rest(self) -> list[Line | bytes]:
        """Return the pieces whose end never came, after everything else."""
        begun = [*self._pieces.values()]
        self._pieces.clear()
        return [self._judge(piece) for piece in begun]

    def _judge(self, text: bytes) -> Line | bytes:
        if not text:
            return text
        self.lines += 1
        line = parse(text)
        if line is None:
            self.foreign += 1
        return text if line is None else line


def _piece(raw: bytes, *, is_awaited: bool) -> tuple[bytes, bytes, bool]:
    """Return the stream of the piece of a line that *raw* is, its text, and whether it is the last; of a whole line no stream.

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
    """Whether something seems to have cut lines of *text* into pieces, or to have written them as numbers.

    They cannot then be found by what is in them.
    """
    if text.startswith(_DOCKER):
        return text.count(b'"stream":"std') != text.count(b'\\n","stream":"std')
    if text.startswith(b"{"):
        # journald writes all lines of a file, so one of them is asked: to look through all text twice takes twice as long.
        is_journal = text.find(_MESSAGE, 0, text.find(b"\n")) >= 0
        return is_journal and _NUMBERS.search(text) is not None
    return any(piece in text for piece in _CRI_PIECES)


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
    for name in _INNER:
        line = parse(_bytes(wrapper[name]).strip()) if name in wrapper else None
        if line is not None:
            return line
    return None


def _bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, dict):  # a collector that has parsed it
        return orjson.dumps(value)
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
