"""Lives that grow line by line, in bounded memory."""

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from itertools import islice
from sys import intern

from ..reading.envelope import parse
from ..reading.line import Line
from .join import Life, join
from .summary import Summary

__all__ = ["Entry", "Store"]

# Bytes that a line takes besides its JSON.
_OVERHEAD = 64
#: By which a life is found besides its own id.
_IDS = ("trace_id", "task.id", "ws.conn_id")
_MAX_IDS = 200


class Entry:
    """One life in a `Store`.

    Attributes:
        request_id: whose life it is. Empty for the lines that bear no id.
        summary: the life in short, always up to date.
        version: the store's, when this changed last.
        dropped: how many of its lines were let go, since it has too many.
    """

    __slots__ = ("_raws", "dropped", "ids", "request_id", "size", "summary", "version")

    def __init__(self, request_id: str, line: Line) -> None:
        self.request_id = request_id
        self.summary = Summary(line)
        self.version = 0
        self.dropped = self.size = 0
        self.ids: set[str] = set()
        self._raws: deque[tuple[bytes, str]] = deque()

    def lines(self, newest: int | None = None, having: Sequence[bytes] = ()) -> list[Line]:
        """Return its lines, as they came.

        Args:
            newest: at most so many, those that came last. ``None`` for all.
            having: only those that have one of these texts in them. Empty for all.
        """
        found = []
        for raw, service in self._raws if newest is None else islice(self._raws, max(len(self._raws) - newest, 0), None):
            if having and not any(text in raw for text in having):
                continue
            line = parse(raw)
            if line is not None:
                line.source = service
                found.append(line)
        return found

    def life(self) -> Life:
        """Join its lines. That costs some 10 microseconds a line: do it for what is looked at."""
        return join(self.lines())

    def keep(self, line: Line, most: int, most_bytes: int) -> None:
        """Keep *line*. Beyond *most* lines or bytes, let the oldest but the first go."""
        self._raws.append((line.raw, intern(line.service)))
        self.size += len(line.raw) + _OVERHEAD
        for name in _IDS:
            if (found := line.text(name)) is not None and len(self.ids) < _MAX_IDS:
                self.ids.add(found)
        while len(self._raws) > most or (self.size > most_bytes and len(self._raws) > 2):
            self.size -= len(self._raws[1][0]) + _OVERHEAD
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
        unbound: the lines that bear no request's id. ``None`` if there are none.
        evicted: how many lives were let go.
    """

    def __init__(self, *, lives: int = 10_000, size: int = 128 * 1024 * 1024, lines: int = 10_000) -> None:
        self._most = lives
        self._most_bytes = size
        self._most_lines = lines
        self._bytes = 0
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self.version = self.evicted = 0
        self.unbound: Entry | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        """Return the entries, the one that changed last first."""
        return reversed(self._entries.values())

    @property
    def oldest(self) -> int:
        """The version of the life that goes next. Each that is kept has at least that."""
        return next((entry.version for entry in self._entries.values()), self.version)

    def get(self, request_id: str) -> Entry | None:
        """Return the entry of a whole id."""
        return self._entries.get(request_id)

    def find(self, beginning: str, most: int = 20) -> list[Entry]:
        """Return the entries whose id, or a trace's, task's or connection's among them, begins so, at most so many."""
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

    def take(self, line: Line) -> Entry:
        """Put *line* where it belongs, and return that."""
        request_id = line.request_id or ""
        entry = self._entries.get(request_id) if request_id else self.unbound
        if entry is None:
            entry = Entry(request_id, line)
            if request_id:
                self._entries[request_id] = entry
            else:
                self.unbound = entry
        else:
            entry.summary.take(line)
            if request_id:
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
    return entry.request_id.startswith(beginning) or any(found.startswith(beginning) for found in entry.ids)
