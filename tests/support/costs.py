"""The costs that the README tells, taken from the whole table: ``python -m tests.support.costs`` prints them."""

import re

import docutils.nodes
from docutils.core import publish_doctree

from .processes import ROOT

__all__ = ["Tables", "read_tables", "summary"]

#: Costs in microseconds and ratios, by subject, by title.
Tables = dict[str, dict[str, float]]
_WITHOUT = ("bare Django", "bare Celery", "bare Channels")
_OURS = "dtx_telemetry"
_PEERS = ("django-structlog", "structlog", "structlog bind and unbind")
#: What the README calls a table, by its title.
_SHOWN = {
    "a request over WSGI": "a request over WSGI",
    "a request over ASGI": "a request over ASGI",
    "publishing a task": "publishing a task",
    "executing a task": "executing a task",
    "a WebSocket connection with one message": "a WebSocket connection, one message",
    "a WebSocket message and its answer": "a WebSocket message, its answer",
    "a channel layer's message, sent and handled": "a channel layer message",
    "log line as JSON, 4 fields bound, 3 of its own": "a log line as JSON",
    "log line below the level": "a log line below the level",
}


def read_tables() -> Tables:
    """Return the tables of ``tests/benchmarks/README.rst``."""
    document = publish_doctree((ROOT / "tests/benchmarks/README.rst").read_text(encoding="utf-8"))
    (block,) = [block for block in document.findall(docutils.nodes.literal_block) if "bench-output" in block["names"]]
    tables = {}
    for table in block.astext().split("\n\n"):
        title, _, *rows = table.splitlines()
        found = [re.fullmatch(r"(.+?)  +(-?[\d.]+)(?: us)?", row) for row in rows]
        tables[title] = {row[1]: float(row[2]) for row in found if row}
    return tables


def summary(tables: Tables) -> str:
    """Return the lines of the README."""
    heading = f"{'':<35} {'without':>8} {'with':>8} {'structlog':>10}"
    return "\n".join([heading, *(_line(name, tables[title]) for title, name in _SHOWN.items())])


def _line(name: str, costs: dict[str, float]) -> str:
    bare, ours, peer = (_first(costs, names) for names in (_WITHOUT, (_OURS,), _PEERS))
    return f"{name:<35} {bare:>8} {ours:>8} {peer:>10}"


def _first(costs: dict[str, float], names: tuple[str, ...]) -> str:
    return next((f"{costs[name]:.1f}" for name in names if name in costs), "-")


if __name__ == "__main__":
    print(summary(read_tables()))
