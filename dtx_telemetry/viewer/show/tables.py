"""Results as tables and lists in the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..model.failures import Group
from ..model.strip import Strip
from ..model.summary import summarize
from ..reading.find import Candidate
from .bars import columns_of
from .console import make_console, safe
from .text import cut_middle, day_and_time, length_text

__all__ = ["show_candidates", "show_errors", "show_list", "show_slow"]

#: How wide each column is (0: what the others leave), and for how wide a name a narrow terminal does without it (0: for none).
_Columns = Mapping[str, tuple[int, int]]
_LIST: _Columns = {
    "start": (14, 0),
    "": (0, 0),
    "service": (16, 30),
    "status": (12, 16),
    "duration": (11, 0),
    "queue": (11, 29),
    "queries": (9, 28),
    "database": (11, 34),
    "user": (10, 20),
    "id": (10, 0),
}
_SLOW: _Columns = {
    "": (0, 0),
    "count": (9, 0),
    "errors": (9, 0),
    "p50": (11, 29),
    "p95": (11, 0),
    "p99": (11, 30),
    "max": (11, 18),
    "queue p95": (12, 20),
    "queries": (9, 25),
    "database": (11, 28),
    "slowest": (10, 19),
}
_ERRORS: _Columns = {
    "count": (9, 0),
    "type and place": (0, 0),
    "first": (17, 22),
    "first id": (11, 21),
    "last": (17, 20),
    "last id": (11, 0),
}
_LEFT = frozenset({*_ERRORS, "", "start", "service", "status", "user", "id"} - {"count"})
#: In less there is no table.
_MIN_COLUMNS = 50
_ID = 8
#: Of more ids, only how many there are is said.
_MANY = 20


def show_list(rows: Sequence[Mapping[str, Any]], count: int, sort: str) -> None:
    """Print the rows of `list`, of which there are *count* in all, and which are sorted by the column *sort*."""
    console = _wide_enough()
    are_of_one_day = len({day_and_time(row["start"])[:10] for row in rows}) == 1
    are_of_one_service = len({row["service"] for row in rows}) == 1
    cells = []
    for row in rows:
        style = "red" if row["failed"] else ""
        kind = "" if row["kind"] == "request" and row["name"] else f"{row['kind']} "
        cells.append(
            {
                "start": Text(day_and_time(row["start"])[11 if are_of_one_day else 0 :]),
                "": Text.assemble(safe(kind, "dim"), safe(row["name"], f"bold {style}".strip())),
                "service": safe("" if are_of_one_service else cut_middle(row["service"] or "", 14)),
                "status": safe(row["status"], style),
                **_lengths(row, {"duration": "duration_ms", "queue": "queue_ms", "database": "database_ms"}),
                "queries": _number(row["queries"]),
                "user": safe("" if row["user.id"] is None else cut_middle(str(row["user.id"]), 8)),
                "id": _id(row["request.id"]),
            }
        )
    columns = {**_LIST, sort: (_LIST[sort][0], 0)}  # which stays, however narrow the terminal is
    _print(console, columns if are_of_one_day else {**columns, "start": (25, 0)}, cells)
    if count > len(rows):
        console.print(safe(f"{len(rows)} of {count} rows; --limit shows more", "dim"))
    _say_how_to_go_on(console)


def show_slow(rows: Sequence[Mapping[str, Any]], strip: Strip) -> None:
    """Print the groups that `slow` found."""
    console = _wide_enough()
    show_strip(console, strip, "ended")
    lengths = {"p50": "p50_ms", "p95": "p95_ms", "p99": "p99_ms", "max": "max_ms"}
    lengths |= {"queue p95": "queue_p95_ms", "database": "database_p95_ms"}
    cells = []
    for row in rows:
        kind = "" if row["kind"] == "request" else f"{row['kind']} "
        by = f"{row['by']}  " if row["by"] else ""
        cells.append(
            {
                "": Text.assemble(safe(by, "magenta"), safe(kind, "dim"), safe(row["name"], "bold")),
                "count": Text(str(row["count"])),
                "errors": safe(row["errors"] or "", "red"),
                **_lengths(row, lengths),
                "queries": _number(row["queries_p95"]),
                "slowest": _id(row["slowest"]),
            }
        )
    _print(console, _SLOW, cells)
    _say_how_to_go_on(console)


def show_errors(groups: Sequence[Group], strip: Strip) -> None:
    """Print the groups that `errors` found, each with its latest message below it."""
    console = _wide_enough()
    show_strip(console, strip, "failed")
    cells = []
    for group in groups:
        said = Text.assemble(safe(group.type, "bold red"), " ", safe(group.place), "\n", safe(group.message, "dim"))
        if group.statement:
            said.append_text(Text.assemble("\n", safe(f"in {group.statement}", "dim")))
        cells.append(
            {
                "count": Text(str(group.count)),
                "type and place": said,
                "first": Text(day_and_time(group.first.time)[5:19]),
                "first id": _id(group.first_id),
                "last": Text(day_and_time(group.last.time)[5:19]),
                "last id": _id(group.last_id),
            }
        )
    are_single = all(group.count == 1 for group in groups)  # the last is the first
    _print(console, {head: _ERRORS[head] for head in _ERRORS if not (are_single and head.startswith("last"))}, cells)
    _say_how_to_go_on(console)


def _lengths(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Text]:
    """Return milliseconds of *row* as lengths of time, by the heads that *names* gives them."""
    return {head: Text("" if row[name] is None else length_text(row[name] / 1000)) for head, name in names.items()}


def _number(value: float | None) -> Text:
    return Text("" if value is None else f"{value:.0f}")


def _id(value: str | None) -> Text:
    return safe((value or "")[:_ID], "cyan")


def _print(console: Console, columns: _Columns, rows: Sequence[Mapping[str, Text]]) -> None:
    """Print a table, without the columns that are empty or for which there is no room beside the names."""
    kept = {head: size for head, size in columns.items() if not size[1] or any(row[head] for row in rows)}
    for head, (_, room) in sorted(kept.items(), key=lambda column: -column[1][1]):
        if console.width - sum(width for width, _ in kept.values()) < room:
            del kept[head]
    table = Table(box=box.SIMPLE_HEAD, header_style="dim", expand=True, pad_edge=False, collapse_padding=True)
    for head, (width, _) in kept.items():
        wraps = head in _ERRORS and not width
        table.add_column(
            head,
            no_wrap=not wraps,
            overflow="fold" if wraps else "ellipsis",
            ratio=None if width else 1,
            justify="left" if head in _LEFT else "right",
        )
    for row in rows:
        table.add_row(*(row[head] for head in kept))
    console.print(table)


def show_candidates(beginning: str, candidates: Mapping[str, Candidate], *, more: bool) -> None:
    """Print, on stderr, which ids begin so. There may be *more* than *candidates*."""
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


def _wide_enough() -> Console:
    console = make_console()
    console.width = max(console.width, _MIN_COLUMNS)
    return console
