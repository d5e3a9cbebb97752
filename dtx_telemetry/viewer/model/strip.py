"""How many things happened over time, and how many of them failed."""

from dataclasses import dataclass
from math import ceil

from ..reading.line import iso_time, parse_time

__all__ = ["Bins", "Strip"]

#: Times are counted by their first characters: seconds, minutes, hours, with how many seconds each has.
_UNITS = ((19, 1), (16, 60), (13, 3600), (10, 86400))
_MOST = 20_000
_ENDING = "0000-01-01T00:00:00+00:00"


@dataclass(frozen=True)
class Bins:
    """Counts in equal parts of a time.

    Attributes:
        begin: when the first begins, in seconds since the epoch.
        width: how many seconds each has.
        counts: how many there were in each, and how many of those failed.
    """

    begin: float
    width: float
    counts: list[tuple[int, int]]


class Strip:
    """Counts over time, in bounded memory: the longer the time, the coarser."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._unit = 0
        self._length = _UNITS[0][0]

    def take(self, timestamp: str, *, failed: bool) -> None:
        """Count one at *timestamp*, as a line has it."""
        key = (timestamp if timestamp.endswith("Z") else _in_utc(timestamp))[: self._length]
        found = self._counts.get(key)
        if found is not None:
            found[0] += 1
            found[1] += failed
            return
        self._counts[key] = [1, int(failed)]
        if len(self._counts) > _MOST and self._unit < len(_UNITS) - 1:
            self._coarsen()

    def fail(self, time: float) -> None:
        """Count one that was counted at *time*, in seconds since the epoch, as failed."""
        found = self._counts.get(iso_time(time)[: self._length])
        if found is not None:
            found[1] += 1

    def bins(self, most: int) -> Bins | None:
        """Return the counts in at most so many parts, ``None`` if there are none."""
        unit = _UNITS[self._unit][1]
        times = {
            time: counts for key, counts in self._counts.items() if (time := parse_time(key + _ENDING[len(key) :])) is not None
        }
        if not times:
            return None
        begin, end = min(times), max(times) + unit
        width = ceil((end - begin) / most / unit) * unit
        counts = [[0, 0] for _ in range(ceil((end - begin) / width))]
        for time, (total, failed) in times.items():
            found = counts[int((time - begin) // width)]
            found[0] += total
            found[1] += failed
        return Bins(begin, width, [(total, failed) for total, failed in counts])

    def _coarsen(self) -> None:
        self._unit += 1
        self._length = _UNITS[self._unit][0]
        counts, self._counts = self._counts, {}
        for key, (total, failed) in counts.items():
            found = self._counts.setdefault(key[: self._length], [0, 0])
            found[0] += total
            found[1] += failed


def _in_utc(timestamp: str) -> str:
    seconds = parse_time(timestamp)
    return "" if seconds is None else iso_time(seconds)
