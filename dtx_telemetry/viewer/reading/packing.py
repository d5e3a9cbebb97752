"""What is packed, by its first bytes: gzip, bz2, xz, zstd, and text that is UTF-16."""

import bz2
import codecs
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

from ..errors import Unreadable
from .pieces import PIECE

__all__ = ["PACKING_ERRORS", "PlainText", "is_packed", "is_plain", "plain_text"]

_ZSTD = b"\x28\xb5\x2f\xfd"
_ZIP = b"PK\x03\x04"
_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
#: What reading packed data raises.
PACKING_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, Unreadable)


def _zstd() -> Any:
    with suppress(ImportError):
        return _Zstd(import_module("compression.zstd").ZstdDecompressor())
    with suppress(ImportError):
        return _Zstd(import_module("zstandard").ZstdDecompressor().decompressobj())
    raise Unreadable("this is zstd, which needs Python 3.14 or: pip install zstandard")


class _Zstd:
    """What both modules for zstd have in common with those of the standard library."""

    def __init__(self, member: Any) -> None:
        self._member = member

    def __getattr__(self, name: str) -> Any:
        return getattr(self._member, name)

    def decompress(self, data: bytes, _size: int) -> bytes:
        try:
            unpacked: bytes = self._member.decompress(data)
        except Exception as error:  # each module has a type of its own
            raise Unreadable(str(error)) from error
        return unpacked


#: What unpacks, by how the packed data begin.
_MAKERS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(wbits=16 + zlib.MAX_WBITS),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\x00": lzma.LZMADecompressor,
    _ZSTD: _zstd,
}


def is_packed(first: bytes) -> bool:
    """Return whether what begins with *first* is packed."""
    return first.startswith((*_MAKERS, _ZIP))


def is_plain(first: bytes) -> bool:
    """Return whether what begins with *first* may be read from its midst on: it is neither packed nor UTF-16."""
    return not is_packed(first) and first[:2] not in _MARKS


def plain_text(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Return *pieces* unpacked if they are packed, and as UTF-8."""
    text = PlainText()
    for piece in pieces:
        yield from text.take(piece)
    yield from text.end()


class PlainText:
    """Makes plain UTF-8 of what comes in pieces: unpacked if the first bytes say that it is packed, decoded if by its mark."""

    def __init__(self) -> None:
        self._unpacker: _Unpacker | None = None
        self._decode: Callable[[bytes], str] | None = None
        self._is_new = self._is_first = True

    def take(self, piece: bytes) -> Iterator[bytes]:
        """Return what is in the next *piece*.

        Raises:
            Unreadable: it is of a kind that is not unpacked. Other `PACKING_ERRORS` if it is broken.
        """
        if self._is_new and is_packed(piece):
            self._unpacker = _Unpacker(piece)
        self._is_new = False
        for part in [piece] if self._unpacker is None else self._unpacker.unpack(piece):
            yield from self._decoded(part)

    def end(self) -> Iterator[bytes]:
        """Return what is left.

        Raises:
            EOFError: there should be more.
        """
        for part in [] if self._unpacker is None else self._unpacker.end():
            yield from self._decoded(part)

    def _decoded(self, part: bytes) -> Iterator[bytes]:
        if part and self._is_first:
            self._is_first = False
            encoding = _MARKS.get(part[:2])
            if encoding is not None:
                self._decode = codecs.getincrementaldecoder(encoding)(errors="replace").decode
            part = part.removeprefix(codecs.BOM_UTF8) if encoding is None else part[2:]
        if part:
            yield part if self._decode is None else self._decode(part).encode("utf-8", "replace")


class _Unpacker:
    """Unpacks piece by piece, of several members if there are. *first* are the first bytes."""

    def __init__(self, first: bytes) -> None:
        if first.startswith(_ZIP):
            raise Unreadable("this is a zip archive: unpack it first")
        self._make = next(make for magic, make in _MAKERS.items() if first.startswith(magic))
        self._member = self._make()
        self._begun = False

    def unpack(self, piece: bytes) -> Iterator[bytes]:
        rest = piece
        while rest or not getattr(self._member, "needs_input", True):
            yield self._member.decompress(rest, PIECE)
            self._begun = True
            if self._member.eof:  # another may follow, after padding
                rest = self._member.unused_data.lstrip(b"\0")
                self._member, self._begun = self._make(), False
            else:
                rest = getattr(self._member, "unconsumed_tail", b"")

    def end(self) -> Iterator[bytes]:
        if hasattr(self._member, "unconsumed_tail"):
            yield self._member.flush()
        if self._begun and not self._member.eof:
            raise EOFError("the compressed data end too early")
