"""The lines of the demo's processes: shown as they come, kept for the summary."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from .errors import DemoError

__all__ = ["Line", "Lines", "Printer"]


class Line(NamedTuple):
    """A line that is an event, and the name of the process that wrote it."""

    process: str
    fields: dict[str, Any]


class Printer(Protocol):
    """Shows lines."""

    def event(self, process: str, text: str, fields: dict[str, Any]) -> None:
        """Show an event, which *text* is as it came."""

    def other(self, process: str, text: str) -> None:
        """Show a line that is no event."""


class Lines:
    """Takes the lines of all processes, from the threads that read them.

    Attributes:
        shown: whether they are shown as they come.
        events: those that are events.
        others: those that are not, with the name of the process.
    """

    def __init__(self, printer: Printer, *, shown: bool = True) -> None:
        self._printer = printer
        self.shown = shown
        self._news = threading.Condition()
        self.events: list[Line] = []
        self.others: list[tuple[str, str]] = []
        self._copy: Path | None = None

    def take(self, process: str, text: str) -> None:
        """Keep and show a line that *process* wrote."""
        fields = _parse(text)
        with self._news:
            if fields is None:
                self.others.append((process, text))
                if self.shown:
                    self._printer.other(process, text)
            else:
                self.events.append(Line(process, fields))
                self._write(fields)
                if self.shown:
                    self._printer.event(process, text, fields)
            self._news.notify_all()

    def copy_to(self, path: Path) -> None:
        """Write the events into a file as well, those that were there before too."""
        with self._news:
            self._copy = path
            path.touch()
            for line in self.events:
                self._write(line.fields)

    def _write(self, fields: dict[str, Any]) -> None:
        if self._copy is not None:
            with suppress(OSError), self._copy.open("a", encoding="ascii") as file:
                file.write(f"{json.dumps(fields)}\n")

    def wait_for(self, condition: Callable[[], object], *, deadline: float, check: Callable[[], None]) -> bool:
        """Wait until *condition* is true, and return whether it was so in time.

        Args:
            condition: what to wait for, asked at each line, and ten times a second.
            deadline: when to give up, on the clock of ``time.monotonic``.
            check: raises if there is nothing to wait for any more.
        """
        while True:
            with self._news:
                if condition() or (self._news.wait(0.1) and condition()):
                    return True
            check()
            if time.monotonic() > deadline:
                return False

    def expect(self, condition: Callable[[], object], *, what: str, deadline: float, check: Callable[[], None]) -> None:
        """Wait as `wait_for` does.

        Raises:
            DemoError: *what*, which is the condition in words, was not there in time.
        """
        if not self.wait_for(condition, deadline=deadline, check=check):
            raise DemoError(f"{what} was not there in time")


def _parse(text: str) -> dict[str, Any] | None:
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) and {"timestamp", "level", "logger", "event"} <= fields.keys() else None
