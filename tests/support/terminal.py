"""A process at a terminal of its own, as somebody has it who types."""

import fcntl
import os
import signal
import subprocess
import termios
import threading
from collections.abc import Mapping
from typing import Self

from .processes import ROOT
from .waiting import wait_until

__all__ = ["Terminal"]


class Terminal:
    """Runs a command at a pseudo-terminal.

    Args:
        args: the command.
        environ: its environment.

    Attributes:
        text: what it has shown by now.
    """

    def __init__(self, args: list[str], environ: Mapping[str, str]) -> None:
        self._ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (40, 120))
        self.text = ""
        self.popen = subprocess.Popen(
            args,
            env={**environ, "TERM": "xterm"},
            cwd=ROOT,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - it takes no lock
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait()
        self._reader.join(10)
        os.close(self._ours)

    def type(self, keys: str) -> None:
        """Press *keys*, of which the control characters may be some."""
        os.write(self._ours, keys.encode())

    def wait_for(self, text: str, *, count: int = 1) -> None:
        """Wait until *text* is shown, so many times."""
        wait_until(lambda: self.text.count(text) >= count or self.popen.poll() is not None, what=f"{text!r}")
        wait_until(lambda: self.text.count(text) >= count, deadline=180, what=f"{text!r} in {self.text!r}")

    def wait(self) -> int:
        """Return the exit code."""
        return self.popen.wait(180)

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self._ours, 65536)
            except OSError:
                return
            if not piece:
                return
            self.text += piece.decode(errors="replace")
