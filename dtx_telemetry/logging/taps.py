"""Taps for tracing, which stands above: a copy of each line, what is not printed, how many lines were lost."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

__all__ = ["TAPS", "LineExport", "set_taps"]


class LineExport(Protocol):
    """Takes finished lines besides the output; raises nothing."""

    def __call__(self, created: float, line: Mapping[Any, Any], level: int, error: BaseException | None) -> None:
        """Take *line*, logged at *created* (seconds since the epoch), with the exception that it tells of."""


class _Taps:
    """The taps, each ``None`` where nobody asks. Written at start-up by `set_taps`."""

    __slots__ = ("count_lost", "export", "lets_pass")

    def __init__(self) -> None:
        self.export: LineExport | None = None
        self.lets_pass: Callable[[logging.LogRecord], bool] | None = None
        self.count_lost: Callable[[int], None] | None = None


TAPS = _Taps()


def set_taps(
    *,
    export: LineExport | None = None,
    lets_pass: Callable[[logging.LogRecord], bool] | None = None,
    count_lost: Callable[[int], None] | None = None,
) -> None:
    """Set all three; without arguments, take them off.

    Args:
        export: takes each line that is printed.
        lets_pass: says whether a record is printed.
        count_lost: is told how many lines were lost, once output works again.
    """
    TAPS.export = export
    TAPS.lets_pass = lets_pass
    TAPS.count_lost = count_lost
