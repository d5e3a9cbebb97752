"""The log pipeline, set up in this process to write where a test reads it."""

import logging
from pathlib import Path
from typing import Any

from dtx_telemetry.config import Settings
from dtx_telemetry.logging import configure
from dtx_telemetry.logging.console import ConsoleHandler

from .lines import Line, parse_line, parse_lines

__all__ = ["Printed", "only_ours", "our_handler", "print_lines"]


class Printed:
    """What the pipeline printed since it was set up."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def text(self) -> str:
        return self._path.read_bytes().decode()

    @property
    def lines(self) -> list[Line]:
        """All lines, read strictly as JSON."""
        return parse_lines(self.text)

    @property
    def last(self) -> Line:
        """The last line; it is the last by its newline, whatever stands in it."""
        return parse_line(self.text.removesuffix("\n").rpartition("\n")[2])

    def clear(self) -> None:
        self._path.write_bytes(b"")


def print_lines(folder: Path, **settings: Any) -> Printed:
    """Set up the pipeline, as JSON unless *settings* say otherwise, and return what it prints.

    It prints to a file: pytest puts its own ``sys.stdout`` back between a fixture and its test.
    """
    path = folder / "lines"
    configure(Settings(**{"log_format": "json", **settings}), path=str(path))
    return Printed(path)


def our_handler() -> ConsoleHandler:
    return next(handler for handler in logging.getLogger().handlers if isinstance(handler, ConsoleHandler))


def only_ours() -> None:
    """Leave our handler alone on the root logger: pytest's fail a test for what ours has to bear."""
    logging.getLogger().handlers = [our_handler()]
