"""Lives that grow line by line, in bounded memory."""

from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import islice

from ..reading.line import Line
from ..reading.unwrap import parse
from .join import Life, join
from .summary import Summary

__all__ = ["Entry", "Store"]

# Bytes that a line takes besides its JSON.
_OVERHEAD = 64


class Entry:
    """One life in a `Store`.

    Attributes:
        request_id: whose life it is.
        summary: the life in short, always up to date.
        version: the store's, when this changed last.
        dropped: how many of its lines were let go, since it has too many.
    """

    __slots__ = ("_raws", "dropped", "request_id", "size", "summary", "trace_ids", "version")

    def __init__(self, request_id: str, line: Line) -> None:
        self.request_id = request_id
        self.summary = Summary(line)
        self.version = 0
        self.dropped = self.size = 0
        self.trace_ids: set[str] = set()
        self._raws: deque[bytes] = deque()

    def lines(self) -> list[Line]:
        """Return its lines, as they came."""
        return [line for raw in self._raws if (line := parse(raw)) is not None]

    def life(self) -> Life:
        """Join its lines. That costs some 10 microseconds a line: do it for what is looked at."""
        return join(self.lines())

    def keep(self, line: Line, most: int, most_bytes: int) -> None:
        """Keep *line*; of more than *most* lines, or bytes, let the oldest but the first go."""
        self._raws.append(line.raw)
        self.size += len(line.raw) + _OVERHEAD
        if (trace_id := line.text("trace_id")) is not None and len(self.trace_ids) < 16:
            self.trace_ids.add(trace_id)
        while len(self._raws) > most or (self.size > most_bytes and len(self._raws) > 2):
            self.size -= len(self._raws[1]) + _OVERHEAD
            del self._raws[1]
            self.dropped += 1


class Store:
    """The newest lives.

    A long life is kept as long as lines come for it: what was not heard of for the longest time is let go first.

    Args:
        lives: how many are kept at most.
        size: how many bytes of lines are kept at most, of one life a quarter.
        lines: how many lines of each life are kept at most.

    Attributes:
        version: grows with each line that is kept.
        unbound: how many lines bore no ``request.id``.
        evicted: how many lives were let go.
    """

    def __init__(self, *, lives: int = 10_000, size: int = 128 * 1024 * 1024, lines: int = 2000) -> None:
        self._most = lives
        self._most_bytes = size
        self._most_lines = lines
        self._bytes = 0
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self.version = self.unbound = self.evicted = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        """Return the entries, the one that changed last first."""
        return reversed(self._entries.values())

    def get(self, request_id: str) -> Entry | None:
        """Return the entry of a whole id."""
        return self._entries.get(request_id)

    def find(self, beginning: str, most: int = 20) -> list[Entry]:
        """Return the entries whose ``request.id`` or ``trace_id`` begins so, at most so many."""
        whole = self._entries.get(beginning)
        if whole is not None:
            return [whole]
        found = (entry for entry in self if _begins(entry, beginning))
        return list(islice(found, most))

    def changed_since(self, version: int) -> Iterator[Entry]:
        """Return the entries that changed after *version*, the newest first."""
        for entry in self:
            if entry.version <= version:
                return
            yield entry

    def take(self, line: Line) -> Entry | None:
        """Put *line* where it belongs, and return that; ``None`` for one without a ``request.id``."""
        request_id = line.text("request.id")
        if request_id is None:
            self.unbound += 1
            return None
        entry = self._entries.get(request_id)
        if entry is None:
            entry = self._entries[request_id] = Entry(request_id, line)
        else:
            entry.summary.take(line)
            self._entries.move_to_end(request_id)
        self._bytes -= entry.size
        entry.keep(line, self._most_lines, self._most_bytes // 4)
        self._bytes += entry.size
        self.version += 1
        entry.version = self.version
        self._evict()
        return entry

    def _evict(self) -> None:
        while len(self._entries) > self._most or (self._bytes > self._most_bytes and len(self._entries) > 1):
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= oldest.size
            self.evicted += 1


def _begins(entry: Entry, beginning: str) -> bool:
    return entry.request_id.startswith(beginning) or any(trace_id.startswith(beginning) for trace_id in entry.trace_ids)
