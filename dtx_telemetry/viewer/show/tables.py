"""Results as tables in the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..model.failures import Group
from .console import make_console, safe
from .text import day_and_time, length_text

__all__ = ["show_errors", "show_slow"]

#: Columns of times, and what they are called.
_TIMES = {"p50_ms": "p50", "p95_ms": "p95", "p99_ms": "p99", "max_ms": "max", "queue_p95_ms": "queue p95"}
_TIMES_WIDTHS = {name: 12 if name.startswith("queue") else 11 for name in _TIMES}
#: Those that a narrow terminal does without, in that order, each unless the name has so many columns.
_SPARE_TIMES = {"p99_ms": 30, "p50_ms": 30, "queue_p95_ms": 20, "max_ms": 20}
#: Columns of errors, and how wide they are; those that a narrow terminal does without, likewise.
_DETAILS = {"first": 17, "last": 17, "example": 11}
_SPARE_DETAILS = {"first": 20, "last": 20}
#: In less there is no table.
_MIN_COLUMNS = 50


def show_slow(results: Sequence[dict[str, Any]]) -> None:
    """Print the groups that `slow` found."""
    console = _wide_enough()
    widths = {name: width for name, width in _TIMES_WIDTHS.items() if any(result[name] is not None for result in results)}
    times = _fitting(widths, _SPARE_TIMES, console.width - 18)
    table = _table()
    table.add_column("", overflow="ellipsis", no_wrap=True, ratio=1)
    for head in ("count", "errors", *(_TIMES[name] for name in times)):
        table.add_column(head, justify="right", no_wrap=True)
    for result in results:
        kind = "" if result["kind"] == "request" else f"{result['kind']} "
        table.add_row(
            Text.assemble(safe(kind, "dim"), safe(result["name"], "bold")),
            str(result["count"]),
            safe(result["errors"] or "", "red"),
            *("" if result[name] is None else length_text(result[name] / 1000) for name in times),
        )
    console.print(table)


def show_errors(groups: Sequence[Group]) -> None:
    """Print the groups that `errors` found, each with its latest message below it."""
    console, table = _wide_enough(), _table()
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("type and place", overflow="fold", ratio=1)
    heads = _fitting(_DETAILS, _SPARE_DETAILS, console.width - 9)
    for head in heads:
        table.add_column(head, no_wrap=True)
    for group in groups:
        details = {
            "first": Text(day_and_time(group.first.time)[5:19]),
            "last": Text(day_and_time(group.last.time)[5:19]),
            "example": safe((group.example or "")[:8], "cyan"),
        }
        said = Text.assemble(safe(group.type, "bold red"), " ", safe(group.place), "\n", safe(group.message, "dim"))
        table.add_row(str(group.count), said, *(details[head] for head in heads))
    console.print(table)


def _fitting(widths: Mapping[str, int], spares: Mapping[str, int], columns: int) -> list[str]:
    """Return the names of *widths* that fit into *columns* beside a name; *spares* go where it has fewer than they ask for."""
    kept = dict(widths)
    for spare, least in spares.items():
        if columns - sum(kept.values()) < least:
            kept.pop(spare, None)
    return list(kept)


def _wide_enough() -> Console:
    console = make_console()
    console.width = max(console.width, _MIN_COLUMNS)
    return console


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, header_style="dim", expand=True, pad_edge=False)
