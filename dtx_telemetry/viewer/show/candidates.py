"""What to choose from, where the beginning of an id is not enough."""

from collections.abc import Mapping

from rich.text import Text

from ..model.summary import summarize
from ..reading.find import Candidate
from .console import make_console, safe
from .text import day_and_time

__all__ = ["show_candidates"]

_MANY = 20


def show_candidates(beginning: str, candidates: Mapping[str, Candidate], *, more: bool) -> None:
    """Print, on stderr, which ids begin so; there may be *more* than *candidates*."""
    console = make_console(stderr=True)
    count = len(candidates)
    least = "at least " if more else ""
    console.print(
        safe(f"dtx-telemetry: {beginning} is the beginning of {least}{count} ids; write more of the one that is meant:")
    )
    for found, candidate in list(candidates.items())[:_MANY]:
        short = summarize(candidate.lines)
        console.print(Text.assemble("  ", safe(found, "bold"), safe(f"  {day_and_time(short.first)}  {short.title}", "dim")))
    if count > _MANY:
        console.print(safe(f"  and {least}{count - _MANY} more"))
