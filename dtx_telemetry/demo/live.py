"""The live page beside the draft: it follows a file that has the lines of all processes."""

import os
import webbrowser
from pathlib import Path

from .lines import Lines
from .processes import Processes

__all__ = ["open_both", "start_page"]


def start_page(processes: Processes, lines: Lines, folder: Path, deadline: float) -> str:
    """Start a live page that shows *lines*, by a file in *folder*, and return its address."""
    file = folder / "lines.json"
    lines.copy_to(file)
    processes.start("page", "-m", "dtx_telemetry", "page", str(file), environ=os.environ, serves=True)

    def addresses() -> list[str]:
        return [text for process, text in lines.others if process == "page" and text.startswith("http://")]

    lines.expect(addresses, what="the address of the live page", deadline=deadline, check=processes.check)
    return addresses()[0]


def open_both(draft: str, page: str) -> None:
    """Open both addresses in the browser."""
    for address in (draft, page):
        webbrowser.open(address)
