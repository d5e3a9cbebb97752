"""``errors``: what goes wrong, by type and place."""

from ..model.failures import FAILURE_TEXTS, Failures
from ..query import Query, write_json

__all__ = ["run"]


def run(query: Query, *, sort: str = "count", as_json: bool = False) -> int:
    """Show failures in groups.

    Args:
        query: where to look, and for which.
        sort: ``count``, ``first`` or ``last``.
        as_json: print them for programs.
    """
    failures = Failures()
    with query.reading() as reading:
        for line in reading.lines(FAILURE_TEXTS):
            failures.take(line)
    groups = failures.groups(sort)
    if as_json:
        write_json([group.as_json() for group in groups])
    elif groups:
        from ..show.tables import show_errors

        show_errors(groups, failures.strip)
    return reading.end(found=bool(groups), nothing="none of {lines} is of level error or critical")
