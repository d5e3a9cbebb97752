"""Finding the lines of one life by its ``request.id`` or ``trace_id``, or a beginning of one."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..progress import watched
from .inputs import Input
from .line import Line
from .search import find_lines
from .unwrap import Unwrapper

__all__ = ["Candidate", "Finder"]

#: How many lives may be kept while it is open which one is meant.
_MANY = 100


@dataclass
class Candidate:
    """An id that begins as was asked for.

    Attributes:
        lines: those that have it, in the order in which they were read.
        request_ids: of all these lines.
        whole: whether the lines are all that there are of these requests.
    """

    lines: list[Line] = field(default_factory=list)
    request_ids: set[str] = field(default_factory=set)
    whole: bool = True


class Finder:
    """Finds lines in one pass over the bytes; in two where the id is a trace's.

    Args:
        identifier: the id or its beginning.
        match: whether a line counts.

    Attributes:
        candidates: the ids that may be meant.
        has_more: whether there are more than these.
        unwrapper: counts the lines that were looked at.
    """

    def __init__(self, identifier: str, match: Callable[[Line], bool]) -> None:
        self._identifier = identifier
        self._match = match
        self.candidates: dict[str, Candidate] = {}
        self.has_more = False
        self.unwrapper = Unwrapper()

    @property
    def is_ambiguous(self) -> bool:
        """Whether more than one request is meant."""
        return self._identifier not in self.candidates and len(self.candidates) > 1

    def find(self, inputs: Sequence[Input]) -> list[Line]:
        """Return the lines of the life, each once, though a collector has delivered it twice.

        There are none where there is no such life, or it is ambiguous.
        """
        for read in inputs:
            read.keep()
        for line in self._lines(inputs, [self._identifier]):
            self._note(line)
        if self.is_ambiguous or not self.candidates:
            return []
        meant = self.candidates.get(self._identifier) or next(iter(self.candidates.values()))
        if meant.whole:
            return _once(meant.lines)
        self.unwrapper = Unwrapper()
        lines = self._lines(inputs, sorted(meant.request_ids))
        return _once(line for line in lines if line.text("request.id") in meant.request_ids)

    def _lines(self, inputs: Sequence[Input], identifiers: Sequence[str]) -> Iterator[Line]:
        texts = [identifier.encode("utf-8", "surrogateescape") for identifier in identifiers]
        return filter(self._match, find_lines(watched(inputs), texts, self.unwrapper))

    def _note(self, line: Line) -> None:
        request_id, trace_id = line.text("request.id"), line.text("trace_id")
        if request_id is None:
            return
        # A line counts once, also where the two ids are the same.
        for found in {request_id, trace_id}:
            if found is not None and found.startswith(self._identifier):
                self._keep(found, request_id, line)

    def _keep(self, found: str, request_id: str, line: Line) -> None:
        candidate = self.candidates.get(found)
        if candidate is None:
            if len(self.candidates) >= _MANY and found != self._identifier:
                self.has_more = True
                return
            candidate = self.candidates[found] = Candidate()
        candidate.lines.append(line)
        candidate.request_ids.add(request_id)
        candidate.whole = candidate.whole and found == request_id


def _once(lines: Iterable[Line]) -> list[Line]:
    # By all that they say, microseconds included: no process logs the same twice within one.
    return [*{line.raw: line for line in lines}.values()]
