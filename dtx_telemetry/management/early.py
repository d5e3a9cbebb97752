"""Lines that the project logs before telemetry is set up: they come in another format, or nowhere.

A process cannot look back at them, so `look_at_early_lines` starts the project once more, in a process that watches.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from .report import Finding, wrong

__all__ = ["look_at_early_lines", "main"]

_MARK = "dtx_telemetry early lines: "
_INSTALLED = ("site-packages", "dist-packages", f"{os.sep}lib{os.sep}python", "<frozen ")
_LOGGING = frozenset({"logging", "structlog", "dtx_telemetry"})
_SECONDS = 60


def look_at_early_lines() -> Iterator[Finding]:
    """Yield a finding for each place in the project's own code that logs too early."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(part or str(Path.cwd()) for part in sys.path)}
    command = [sys.executable, "-m", __name__]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
    told = [line.removeprefix(_MARK) for line in done.stdout.splitlines() if line.startswith(_MARK)]
    for place, logger in json.loads(told[-1]) if told else ():
        yield wrong(
            f"{place} logs by {logger!r} before telemetry is set up: the line has another format, or is not printed.",
            "Put 'dtx_telemetry' first in INSTALLED_APPS. What a settings file logs, log in an AppConfig's ready().",
            place=place,
            logger=logger,
        )


def main() -> None:
    """Set up the project, and print the places in its code that logged before the set-up of telemetry."""
    found: dict[str, str] = {}
    logger_class: Any = logging.Logger
    logger_class.isEnabledFor = _watched(logging.Logger.isEnabledFor, found)
    import django

    django.setup()
    sys.stdout.write(f"\n{_MARK}{json.dumps(list(found.items()))}\n")


def _watched(is_enabled: Callable[[logging.Logger, int], bool], found: dict[str, str]) -> Callable[[Any, int], bool]:
    """Return *is_enabled*, which every logger asks for each line, and which notes in *found* who asked too early."""

    def watch(self: logging.Logger, level: int) -> bool:
        if level >= logging.INFO and not _is_set_up():
            frame = _caller(sys._getframe(1))
            if frame is not None and not any(part in frame.f_code.co_filename for part in _INSTALLED):
                found.setdefault(f"{frame.f_code.co_filename}:{frame.f_lineno}", self.name)
        return is_enabled(self, level)

    return watch


def _is_set_up() -> bool:
    ours = sys.modules.get("dtx_telemetry.logging")
    return ours is not None and getattr(ours, "is_configured", bool)()


def _caller(frame: FrameType | None) -> FrameType | None:
    """Return the first frame outside of logging, structlog and this library."""
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in {
        "logging",
        "structlog",
        "dtx_telemetry",
    }:
        frame = frame.f_back
    return frame


if __name__ == "__main__":
    main()
