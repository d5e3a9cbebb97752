"""``slow``: how long everything takes."""

from ..model.durations import DURATION_TEXTS, Durations
from ..query import OTHERS, Query, write_json

__all__ = ["run"]


def run(query: Query, *, by: str = "", as_json: bool = False) -> int:
    """Show the slowest groups first.

    Args:
        query: where to look, and for which.
        by: a field to group by as well.
        as_json: print them for programs.
    """
    durations = Durations(by)
    with query.reading() as reading:
        for line in reading.lines(DURATION_TEXTS):
            durations.take(line)
    rows = durations.rows()
    if as_json:
        write_json(rows)
    elif rows:
        from ..show.tables import show_slow

        show_slow(rows, durations.strip)
    return reading.end(found=bool(rows), nothing=f"none of {{lines}} tells how long anything took{OTHERS}")
