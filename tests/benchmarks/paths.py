"""Which files and functions of ours a request, a task and a layer message pass, from their start to their closing event.

Each is counted once, in the order of the first call, in a process that has done the same before: what is imported, compiled or
set up at the first time is not in it. Lines are written as JSON, and OpenTelemetry is off.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import dtx_telemetry

from . import celery, http, websocket

__all__ = ["Passed", "comparisons"]

PACKAGE = Path(dtx_telemetry.__file__).parent
WORKS: dict[str, Callable[[], Callable[[], object]]] = {
    "a WSGI request": lambda: http.wsgi("dtx_telemetry"),
    "a task, executed": lambda: celery.executor(celery.OURS),
    "a layer message, sent and handled": lambda: websocket.layer(websocket.OURS),
}


@dataclass(frozen=True)
class Passed:
    """What one of `WORKS` passed.

    Attributes:
        title: its name.
        functions: each as its file, relative to the package, and its qualified name; in order.
    """

    title: str
    functions: list[tuple[str, str]]

    @property
    def files(self) -> list[str]:
        return list(dict.fromkeys(file for file, _ in self.functions))

    def __str__(self) -> str:
        heading = f"{self.title}: {len(self.files)} files, {len(self.functions)} functions"
        width = max(map(len, self.files))
        lines, last = [], None
        for file, function in self.functions:
            lines.append(f"{'' if file == last else file:<{width}}  {function}")
            last = file
        return "\n".join([heading, "-" * len(heading), *lines, ""])

    def as_json(self) -> dict[str, Any]:
        return {"title": self.title, "files": len(self.files), "functions": [" ".join(function) for function in self.functions]}


def comparisons(rounds: int) -> Iterator[Passed]:
    """Yield the lists of this module; one round tells it all."""
    for title in WORKS:
        command = [sys.executable, "-m", __name__, title]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        yield Passed(title, [(file, function) for file, function in json.loads(done.stdout)])


def passed(work: Callable[[], object]) -> list[tuple[str, str]]:
    """Return the functions of ours that are called in this thread while *work* runs; what is nested in one is part of it."""
    found: dict[tuple[str, str], None] = {}

    def watch(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        path = Path(code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE) and not code.co_name.startswith("<"):
            found[str(path.relative_to(PACKAGE)), code.co_qualname] = None

    sys.setprofile(watch)
    try:
        work()
    finally:
        sys.setprofile(None)
    return list(found)


def _main(title: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.environ["LOG_FORMAT"] = "json"
    work = WORKS[title]()
    for _ in range(20):
        work()
    print(json.dumps(passed(work)), file=answers, flush=True)


if __name__ == "__main__":
    _main(sys.argv[1])
