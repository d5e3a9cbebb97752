"""``pretty``: lines in the development format, as they come."""

import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator

from ...rendering.pretty import PrettyRenderer, local_time
from ...rendering.sanitizer import Sanitizer
from ...rendering.secrets import Secrets
from ...rendering.terminal import printable, wants_colour
from ..query import Query, code
from ..reading.line import Line
from ..reading.unwrap import Unwrapper

__all__ = ["run"]

# Values come as they were printed, so nothing is cut a second time.
_NO_LIMIT = sys.maxsize // 4
# What a foreign line may do to a terminal: colours, as `stern` and others print them, and tabs.
_HARMLESS = re.compile(r"(\x1b\[[\d;]*m|\t)")


def run(query: Query) -> int:
    """Print the lines of *query*."""
    write, unwrapper, found = sys.stdout.buffer.write, Unwrapper(), False
    show = _Show(query)
    with query.inputs() as inputs:
        for read in inputs:
            for piece in read.pieces():
                for text in show.piece(piece, unwrapper):
                    write(text)
                    found = True
                sys.stdout.buffer.flush()  # somebody may watch
        for text in show.taken(unwrapper.rest()):
            write(text)
            found = True
    return code(inputs, found=found)


class _Show:
    """Turns what was read into what is printed."""

    def __init__(self, query: Query) -> None:
        terminal, wanted = sys.stdout.isatty(), wants_colour()
        self._match = query.filters.match
        self._foreign = _no_foreign if query.filters.any else _tamed if terminal else _as_it_is
        self._renderer = PrettyRenderer(
            Sanitizer(Secrets(), _NO_LIMIT),
            lambda: terminal if wanted is None else wanted,
            lambda: shutil.get_terminal_size().columns if terminal else None,
        )

    def piece(self, piece: bytes, unwrapper: Unwrapper) -> Iterator[bytes]:
        for raw in piece.removesuffix(b"\n").split(b"\n"):
            yield from self.taken(unwrapper.take(raw))

    def taken(self, lines: Iterable[Line | bytes]) -> Iterator[bytes]:
        for line in lines:
            if not isinstance(line, Line):
                yield from self._foreign(line)
            elif self._match(line):
                yield self._renderer.encode({**line.fields, "timestamp": local_time(line.time)})


_Foreign = Callable[[bytes], Iterator[bytes]]


def _as_it_is(raw: bytes) -> Iterator[bytes]:
    yield raw + b"\n"


def _no_foreign(_raw: bytes) -> Iterator[bytes]:
    """Where something is asked for, what has no fields is not it."""
    yield from ()


def _tamed(raw: bytes) -> Iterator[bytes]:
    text = raw.removesuffix(b"\r").decode("utf-8", "backslashreplace")
    parts = [part if _HARMLESS.fullmatch(part) else printable(part) for part in _HARMLESS.split(text)]
    yield f"{''.join(parts)}\n".encode()
