"""What is printed on a real terminal: its colours, and its width."""

import os
import pty
import subprocess
import sys
from typing import Any

import pytest

from tests.support.processes import ROOT, clean_environ

SCRIPT = """
import sys
from dtx_telemetry.config import Settings
from dtx_telemetry.logging import configure, get_logger
configure(Settings(log_format="pretty"))
get_logger("app").warning("x", a=1)
"""


@pytest.mark.parametrize(
    ("environ", "coloured"), [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)]
)
def test_colour_without_a_terminal(environ: dict[str, str], coloured: bool) -> None:
    """A stream that is no terminal is not coloured unless FORCE_COLOR says so; NO_COLOR wins."""
    assert ("\x1b[" in run(environ)) is coloured


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour_on_a_terminal(environ: dict[str, str], coloured: bool) -> None:
    """On a terminal it is coloured, unless NO_COLOR is set or it has no colours, as Emacs' shell."""
    import os
    import pty

    master, slave = pty.openpty()
    subprocess.run([sys.executable, "-c", SCRIPT], env=clean_environ(**environ), stdout=slave, check=True, cwd=ROOT)
    text = os.read(master, 10_000).decode()
    os.close(slave)
    os.close(master)
    assert ("\x1b[" in text) is coloured
    assert "\x1b[33mwarning \x1b[0m" in text or not coloured


def run(environ: dict[str, Any]) -> str:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT], env=clean_environ(**environ), capture_output=True, check=True, cwd=ROOT, text=True
    ).stdout


SCRIPT = """
from dtx_telemetry.config import Settings
from dtx_telemetry.logging import configure, get_logger
configure(Settings(log_format="pretty"))
get_logger("app").warning("x", **{f"field_{number}": number for number in range(10)})
"""


def test_the_width_is_the_terminals():
    """A process that logs to a terminal asks it how wide it is at each line."""
    import fcntl
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    subprocess.run([sys.executable, "-c", SCRIPT], env=clean_environ(NO_COLOR="1"), stdout=slave, check=True, cwd=ROOT)
    lines = os.read(master, 10_000).decode().splitlines()
    os.close(slave)
    os.close(master)
    assert len(lines) > 2
    assert all(len(line) <= 60 for line in lines)
