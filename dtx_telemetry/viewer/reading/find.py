"""Finding the lines of one life by an id: a request's, a trace's, a task's, a connection's, or a beginning of one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .filters import Filters
from .inputs import Input, watched
from .line import Line
from .search import find_lines
from .unwrap import Unwrapper

__all__ = ["Candidate", "Finder"]

#: How many lives may be kept while it is open which one is meant.
_MANY = 100
_CONNECTION = "ws.conn_id"
_OTHER_IDS = ("trace_id", "task.id", _CONNECTION)


@dataclass
class Candidate:
    """An id that begins as was asked for.

    Attributes:
        lines: those that have it, in the order in which they were read.
        request_ids: of all these lines.
        whole: whether the lines are all that there are of it.
    """

    lines: list[Line] = field(default_factory=list)
    request_ids: set[str] = field(default_factory=set)
    whole: bool = True


class Finder:
    """Finds lines in one pass over the bytes, in two if the id is a trace's or a task's.

    Args:
        identifier: the id or its beginning.
        times: what a line's time has to be.

    Attributes:
        candidates: the ids that may be meant.
        has_more: whether there are more than these.
        left_out: how many lines have the id at another time.
        unwrapper: counts the lines that were looked at.
    """

    def __init__(self, identifier: str, times: Filters) -> None:
        self._identifier = identifier
        self._times = times
        self.candidates: dict[str, Candidate] = {}
        self.has_more = False
        self.left_out = 0
        self.unwrapper = Unwrapper()

    @property
    def is_ambiguous(self) -> bool:
        """Whether more than one request is meant."""
        requests = {request_id for candidate in self.candidates.values() for request_id in candidate.request_ids}
        return self._identifier not in self.candidates and len(self.candidates) > 1 and len(requests) > 1

    def find(self, inputs: Sequence[Input]) -> list[Line]:
        """Return the lines of the life, none if there is no such life or it is ambiguous.

        Of a connection they are those that bear its id, whatever request they are of.
        """
        for read in inputs:
            read.keep()
        for line in self._lines(inputs, [self._identifier]):
            self._note(line)
        if self.is_ambiguous or not self.candidates:
            return []
        meant = self.candidates.get(self._identifier) or next(iter(self.candidates.values()))
        if meant.whole:
            return meant.lines
        self.unwrapper = Unwrapper()
        lines = self._lines(inputs, sorted(meant.request_ids))
        return [line for line in lines if line.request_id in meant.request_ids and self._times.match(line)]

    def _lines(self, inputs: Sequence[Input], identifiers: Sequence[str]) -> Iterator[Line]:
        texts = [identifier.encode("utf-8", "surrogateescape") for identifier in identifiers]
        for read, pieces in watched(inputs):
            for lines in find_lines(pieces, texts, self.unwrapper):
                for line in lines:
                    line.source = read.source
                    yield line

    def _note(self, line: Line) -> None:
        request_id = line.request_id
        if request_id is None:
            return
        # A line counts once, also if two ids are the same.
        found = {request_id: request_id} | {text: name for name in _OTHER_IDS if (text := line.text(name)) is not None}
        wanted = {text: name for text, name in found.items() if text.startswith(self._identifier)}
        if wanted and not self._times.match(line):
            self.left_out += 1
            return
        for text, name in wanted.items():
            self._keep(text, request_id, line, whole=text == request_id or name == _CONNECTION)

    def _keep(self, found: str, request_id: str, line: Line, *, whole: bool) -> None:
        candidate = self.candidates.get(found)
        if candidate is None:
            if len(self.candidates) >= _MANY and found != self._identifier:
                self.has_more = True
                return
            candidate = self.candidates[found] = Candidate()
        candidate.lines.append(line)
        candidate.request_ids.add(request_id)
        candidate.whole = candidate.whole and whole
