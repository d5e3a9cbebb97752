"""The live page at 5,000 lines a second: how late it shows them, and how much of a processor it takes.

The lines go into a file, the page follows that, and a headless Chromium shows it. In each ``request.id`` stands when its first
line was written, so the age of the top row is how late the page is, its updates' rhythm included. ``DTX_BENCH_SECONDS`` says
how long that goes on, 10 by default.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from ..support.viewer_lines import click
from .harness import ROOT, Comparison

__all__ = ["comparisons"]

_RATE = 5000
_BATCHES = 50
_WARM_UP = 3.0
_AGE = """
const row = [...document.querySelectorAll('.row')].find(row => row.ariaPosInSet === '1');
return row ? (Date.now() % 2 ** 32) - parseInt(row.querySelector('.id').textContent, 16) : null;
"""


def comparisons(rounds: int) -> Iterator[Comparison]:
    """Measure once; more rounds tell nothing that a longer run does not. Without a Chromium there is nothing to measure."""
    if shutil.which("chromedriver") is None:
        return
    seconds = float(os.environ.get("DTX_BENCH_SECONDS", "10"))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        file = Path(folder, "app.log")
        file.touch()
        process = stack.enter_context(_page(file))
        assert process.stdout is not None
        address = process.stdout.readline().decode().strip()
        age = stack.enter_context(_browser(address))
        written = stack.enter_context(_writing(file))
        time.sleep(_WARM_UP)
        yield _measure(psutil.Process(process.pid), age, written, seconds)


def _measure(page: psutil.Process, age: Callable[[], float | None], written: list[int], seconds: float) -> Comparison:
    begin, before, lines, ages = time.monotonic(), sum(page.cpu_times()[:2]), len(written), list[float]()
    while time.monotonic() - begin < seconds:
        if (found := age()) is not None:
            ages.append(found)
        time.sleep(0.05)
    took = time.monotonic() - begin
    ages.sort()
    return Comparison(
        f"The live page for {seconds:.0f} s",
        {},
        {
            "lines written a second": sum(written[lines:]) / took,
            "age of what is shown, median ms": ages[len(ages) // 2],
            "age of what is shown, most ms": ages[-1],
            "processors that the page's server takes": (sum(page.cpu_times()[:2]) - before) / took,
            "memory of the page's server, MB": page.memory_info().rss / 1e6,
        },
    )


@contextmanager
def _page(file: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "dtx_telemetry", "page", str(file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def _browser(address: str) -> Iterator[Callable[[], float | None]]:
    from tests.support.browser import chromium  # Selenium is loaded where it is needed

    with chromium() as driver:
        driver.get(address)
        yield lambda: driver.execute_script(_AGE)


@contextmanager
def _writing(file: Path) -> Iterator[list[int]]:
    """Write lines at a steady rate for the block; the list gets how many at a time."""
    written: list[int] = []
    over = threading.Event()

    def write() -> None:
        lines, due = _lines(), time.monotonic()
        with file.open("ab", buffering=0) as log:
            while not over.is_set():
                log.write(b"".join(next(lines) for _ in range(_RATE // _BATCHES)))
                written.append(_RATE // _BATCHES)
                due += 1 / _BATCHES
                time.sleep(max(due - time.monotonic(), 0))

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        yield written
    finally:
        over.set()
        writer.join()


def _lines() -> Iterator[bytes]:
    chance, number = random.Random(13), 0
    while True:
        number += 1
        identifier = f"{int(time.time() * 1000) % 2**32:08x}{number:024x}"
        for line in click(number, chance):
            yield _text({**line, "timestamp": datetime.now(UTC).isoformat(), "request.id": identifier})


def _text(line: dict[str, Any]) -> bytes:
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"
