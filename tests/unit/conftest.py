"""What makes these tests quick to run: all of them stay in one process."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

_STARTS = {"subprocess.Popen", "os.posix_spawn", "os.spawn", "os.system", "os.fork", "os.forkpty", "pty.spawn"}
_started: list[str] = []


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if event in _STARTS:
        _started.append(f"{event} {args}")


sys.addaudithook(_watch)


@pytest.fixture(autouse=True)
def _no_process_is_started() -> Iterator[None]:
    """Fail a test that starts a process: its place is tests/system."""
    _started.clear()
    yield
    if _started:
        pytest.fail(f"a test of tests/unit starts processes: {_started}", pytrace=False)
