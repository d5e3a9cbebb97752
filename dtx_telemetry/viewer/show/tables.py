"""Results as tables in the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..model.failures import Group
from ..model.strip import Strip
from .bars import columns_of
from .console import make_console, safe
from .text import cut_middle, day_and_time, length_text

__all__ = ["show_errors", "show_list", "show_slow"]

#: Columns of `slow`, how they are called, and how wide they are.
_TIMES = {
    "p50_ms": ("p50", 11),
    "p95_ms": ("p95", 11),
    "p99_ms": ("p99", 11),
    "max_ms": ("max", 11),
    "queue_p95_ms": ("queue p95", 12),
    "queries_p95": ("queries", 9),
    "database_p95_ms": ("database", 11),
    "slowest": ("slowest", 10),
}
#: Those that a narrow terminal does without, in that order, each unless the name has so many columns.
_SPARE_TIMES = {
    "p99_ms": 30,
    "p50_ms": 30,
    "database_p95_ms": 30,
    "queries_p95": 25,
    "queue_p95_ms": 20,
    "slowest": 20,
    "max_ms": 20,
}
#: Columns of errors, likewise.
_DETAILS = {"first": 17, "first id": 11, "last": 17, "last id": 11}
_SPARE_DETAILS = {"first": 20, "first id": 20, "last": 20}
#: Columns of `list`, likewise.
_ROWS = {"service": 16, "status": 12, "duration": 11, "queue": 11, "queries": 9, "database": 11, "user": 10, "id": 10}
_SPARE_ROWS = {"database": 34, "service": 30, "queue": 30, "queries": 28, "user": 20, "status": 16}
#: In less there is no table.
_MIN_COLUMNS = 50
_ID = 8


def show_list(rows: Sequence[Mapping[str, Any]], count: int) -> None:
    """Print the rows of `list`, of which there are *count* in all."""
    console = _wide_enough()
    shown = [_list_cells(row) for row in rows]
    is_new = len({cells["start"][:10] for cells in shown}) == 1
    used = {head: width for head, width in _ROWS.items() if any(cells[head] for cells in shown)}
    if len({cells["service"] for cells in shown}) == 1:
        used.pop("service", None)
    heads = _fitting(used, _SPARE_ROWS, console.width - (14 if is_new else 25))
    table = _table()
    table.add_column("start", no_wrap=True)
    table.add_column("", no_wrap=True, overflow="ellipsis", ratio=1)
    for head in heads:
        table.add_column(
            head, no_wrap=True, justify="right" if head in ("duration", "queue", "queries", "database") else "left"
        )
    for row, cells in zip(rows, shown, strict=True):
        style = "red" if row["failed"] else ""
        kind = "" if row["kind"] == "request" and row["name"] else f"{row['kind']} "
        table.add_row(
            cells["start"][11:] if is_new else cells["start"],
            Text.assemble(safe(kind, "dim"), safe(row["name"], f"bold {style}".strip())),
            *(safe(cells[head], style if head == "status" else "cyan" if head == "id" else "") for head in heads),
        )
    console.print(table)
    if count > len(rows):
        console.print(safe(f"{len(rows)} of {count} rows; --limit shows more", "dim"))
    _say_how_to_go_on(console)


def _list_cells(row: Mapping[str, Any]) -> dict[str, str]:
    times = {
        head: row[name] for head, name in (("duration", "duration_ms"), ("queue", "queue_ms"), ("database", "database_ms"))
    }
    return {
        "start": day_and_time(row["start"]),
        "status": str(row["status"]),
        **{head: "" if value is None else length_text(value / 1000) for head, value in times.items()},
        "queries": "" if row["queries"] is None else f"{row['queries']:.0f}",
        "service": cut_middle(str(row["service"] or ""), _ROWS["service"] - 2),
        "user": cut_middle("" if row["user.id"] is None else str(row["user.id"]), _ROWS["user"] - 2),
        "id": (row["request.id"] or "")[:_ID],
    }


def show_slow(rows: Sequence[Mapping[str, Any]], strip: Strip) -> None:
    """Print the groups that `slow` found."""
    console = _wide_enough()
    show_strip(console, strip, "ended")
    widths = {name: width for name, (_, width) in _TIMES.items() if any(row[name] is not None for row in rows)}
    times = _fitting(widths, _SPARE_TIMES, console.width - 18)
    table = _table()
    table.add_column("", overflow="ellipsis", no_wrap=True, ratio=1)
    for head in ("count", "errors", *(_TIMES[name][0] for name in times)):
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        kind = "" if row["kind"] == "request" else f"{row['kind']} "
        by = f"{row['by']}  " if row["by"] else ""
        table.add_row(
            Text.assemble(safe(by, "magenta"), safe(kind, "dim"), safe(row["name"], "bold")),
            str(row["count"]),
            safe(row["errors"] or "", "red"),
            *(_time_cell(name, row[name]) for name in times),
        )
    console.print(table)
    _say_how_to_go_on(console)


def _time_cell(name: str, value: Any) -> Text:
    if value is None:
        return Text()
    if name == "slowest":
        return safe(value[:_ID], "cyan")
    return Text(f"{value:.0f}" if name == "queries_p95" else length_text(value / 1000))


def show_errors(groups: Sequence[Group], strip: Strip) -> None:
    """Print the groups that `errors` found, each with its latest message below it."""
    console, table = _wide_enough(), _table()
    show_strip(console, strip, "failed")
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("type and place", overflow="fold", ratio=1)
    is_single = all(group.count == 1 for group in groups)
    heads = _fitting({head: _DETAILS[head] for head in [*_DETAILS][: 2 if is_single else 4]}, _SPARE_DETAILS, console.width - 9)
    for head in heads:
        table.add_column(head, no_wrap=True)
    for group in groups:
        details = {
            "first": Text(day_and_time(group.first.time)[5:19]),
            "first id": safe((group.first_id or "")[:_ID], "cyan"),
            "last": Text(day_and_time(group.last.time)[5:19]),
            "last id": safe((group.last_id or "")[:_ID], "cyan"),
        }
        said = Text.assemble(safe(group.type, "bold red"), " ", safe(group.place), "\n", safe(group.message, "dim"))
        if group.statement:
            said.append_text(Text.assemble("\n", safe(f"in {group.statement}", "dim")))
        table.add_row(str(group.count), said, *(details[head] for head in heads))
    console.print(table)
    _say_how_to_go_on(console)


def show_strip(console: Console, strip: Strip, what: str) -> None:
    """Print a line of columns over time, and under it those of failures."""
    bins = strip.bins(max(console.width - 24, 20))
    if bins is None or len(bins.counts) < 2:
        return
    most = max(total for total, _ in bins.counts)
    begin, width = day_and_time(bins.begin)[5:19], length_text(bins.width)
    console.print(Text.assemble(safe(f"{begin} ", "dim"), columns_of([total for total, _ in bins.counts], most)))
    failed = [failed for _, failed in bins.counts]
    if what != "failed" and any(failed):
        console.print(Text.assemble(f"{'failed':>14} ", safe(columns_of(failed, max(failed)), "red")))
    since = next((place for place, count in enumerate(failed) if count), None)
    first = "" if since is None else f", the first failure at {day_and_time(bins.begin + since * bins.width)[5:19]}"
    console.print(safe(f"{'':15}at most {most} {what} in {width}{first}", "dim"))


def _say_how_to_go_on(console: Console) -> None:
    console.print(safe("dtx-telemetry trace ID FILE... shows one of them", "dim"))


def _fitting(widths: Mapping[str, int], spares: Mapping[str, int], columns: int) -> list[str]:
    """Return the names of *widths* that fit into *columns* beside a name; *spares* go if it has fewer than they ask for."""
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
    return Table(box=box.SIMPLE_HEAD, header_style="dim", expand=True, pad_edge=False, collapse_padding=True)
