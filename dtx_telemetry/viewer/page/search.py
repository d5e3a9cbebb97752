"""Which lives a filter is about."""

from collections.abc import Callable

from ..model.store import Entry
from ..reading.filters import parse_filters, typed_words
from ..reading.line import Line

__all__ = ["Search"]


class Search:
    """A filter, and what it has found so far: each line is looked at once.

    Args:
        text: the filter.

    Raises:
        UsageError: it is not understood.
    """

    def __init__(self, text: str) -> None:
        words = typed_words(text)
        self._filters = parse_filters(words)
        self._words = [word.casefold() for word in words]
        self._found: dict[str, tuple[int, int]] = {}

    @property
    def can_lose(self) -> bool:
        """Whether a life may stop to fit as it grows."""
        return any(condition.is_negated for condition in self._filters.conditions)

    def fits(self, entry: Entry) -> bool:
        """Return whether a life is wanted, by any of its lines."""
        if not self._filters.any:
            return True
        count = entry.summary.lines
        seen, mask = self._found.get(entry.request_id, (0, 0))
        if seen > count:  # it was let go, and has begun anew
            seen = mask = 0
        for line in entry.lines(newest=count - seen) if seen < count else ():
            mask |= self._filters.mask(line)
        self._found[entry.request_id] = count, mask
        return self._filters.holds(mask)

    def line_fits(self, line: Line) -> bool:
        """Return whether a line by itself is wanted."""
        return self._filters.match(line)

    def names(self, name: str) -> bool:
        """Return whether each word of the filter is in *name*."""
        return all(word in name.casefold() for word in self._words)

    def forget(self, is_kept: Callable[[str], bool], most: int) -> None:
        """Forget the lives that are not kept, once there are more than twice *most*."""
        if len(self._found) > 2 * most + 1000:
            self._found = {name: found for name, found in self._found.items() if is_kept(name)}
