"""What is packed, by its first bytes: gzip, bz2, xz and zstd; and text that is UTF-16."""

import bz2
import codecs
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from itertools import chain
from typing import Any

from ..errors import Unreadable
from .pieces import PIECE

__all__ = ["PACKING_ERRORS", "Unpacker", "is_packed", "plain_text"]

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


class Unpacker:
    """Unpacks piece by piece, of several members if there are.

    Args:
        first: the first bytes.

    Raises:
        Unreadable: they are of a kind that is not unpacked.
    """

    def __init__(self, first: bytes) -> None:
        if first.startswith(_ZIP):
            raise Unreadable("this is a zip archive: unpack it first")
        self._make = next(make for magic, make in _MAKERS.items() if first.startswith(magic))
        self._member = self._make()
        self._begun = False

    def unpack(self, piece: bytes) -> Iterator[bytes]:
        """Return what is packed in the next *piece*."""
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
        """Return what is left.

        Raises:
            EOFError: there should be more.
        """
        if hasattr(self._member, "unconsumed_tail"):
            yield self._member.flush()
        if self._begun and not self._member.eof:
            raise EOFError("the compressed data end too early")


def plain_text(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Return *pieces* unpacked if they are packed, and as UTF-8."""
    source = iter(pieces)
    first = next(source, b"")
    whole = chain([first], source)
    return _as_utf8(_unpacked(first, whole) if is_packed(first) else whole)


def _unpacked(first: bytes, pieces: Iterable[bytes]) -> Iterator[bytes]:
    unpacker = Unpacker(first)
    for piece in pieces:
        yield from unpacker.unpack(piece)
    yield from unpacker.end()


def _as_utf8(pieces: Iterable[bytes]) -> Iterator[bytes]:
    source = iter(pieces)
    first = next((piece for piece in source if piece), b"")
    encoding = _MARKS.get(first[:2])
    if encoding is None:
        yield first.removeprefix(codecs.BOM_UTF8)
        yield from source
        return
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    for piece in chain([first[2:]], source):
        yield decoder.decode(piece).encode("utf-8", "replace")
