"""A table at the end of the run: what was tried (pool by broker by ending), and whether it went as it should."""

from collections import defaultdict
from typing import Any

import pytest

__all__ = ["ENDING", "pytest_terminal_summary"]

#: The property that a test records for each cell: (pool, broker, ending, whether it is as it should be).
ENDING = "task ending"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the cells that tests recorded, those of other processes of the run too."""
    columns: dict[str, dict[tuple[str, str], bool]] = defaultdict(dict)
    for report in _reports(terminalreporter):
        for name, cell in report.user_properties:
            if name == ENDING:
                pool, broker, ending, good = cell
                columns[ending][pool, broker] = good
    if columns:
        terminalreporter.section("endings of tasks, one closing event each")
        for line in _table(columns):
            terminalreporter.line(line)


def _reports(terminalreporter: pytest.TerminalReporter) -> list[Any]:
    return [report for key in ("passed", "failed") for report in terminalreporter.stats.get(key, [])]


def _table(columns: dict[str, dict[tuple[str, str], bool]]) -> list[str]:
    heads = sorted({head for cells in columns.values() for head in cells})
    width = max(map(len, columns))
    lines = [" " * width + "  " + "  ".join(f"{pool[:10]:10}" for pool, _ in heads)]
    lines.append(" " * width + "  " + "  ".join(f"{broker[:10]:10}" for _, broker in heads))
    for ending, cells in columns.items():
        marks = [{True: "ok", False: "WRONG", None: "-"}[cells.get(head)] for head in heads]
        lines.append(f"{ending:{width}}  " + "  ".join(f"{mark:10}" for mark in marks))
    return lines
