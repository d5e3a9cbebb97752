"""The process that outlives the demo, however that ends, and leaves nothing of it behind.

It makes the demo's temporary folder, and the process group that all the demo's processes are in. When its standard input ends,
since the demo closed it or died, it kills that group and removes the folder.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

from .errors import DemoError

__all__ = ["Guardian", "main"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE = 5.0


class Guardian:
    """The guardian, seen from the demo. It is started on entering the block, and clears everything away on leaving it.

    Attributes:
        folder: for whatever the demo writes.
        group: the process group for whatever the demo starts. No Ctrl-C of the terminal reaches it.
    """

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", __name__]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, process_group=0)  # noqa: S603 - this module
        said = cast("IO[bytes]", self._process.stdout).readline()
        group, _, folder = said.rstrip(b"\n").partition(b" ")
        if not folder:
            raise DemoError("a temporary folder cannot be made")
        self.group = int(group)
        self.folder = Path(os.fsdecode(folder))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        deadline = time.monotonic() + 2 * _PATIENCE
        with self._process:
            cast("IO[bytes]", self._process.stdin).close()
            while self._process.poll() is None and time.monotonic() < deadline:
                with suppress(ChildProcessError):  # a process that a signal kept from being noted when it was started
                    os.waitpid(-self.group, os.WNOHANG)
                time.sleep(0.01)
            self._process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)  # should somebody have killed the guardian


def main() -> None:
    """Run the guardian."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    group = _make_group()
    folder = tempfile.mkdtemp(prefix="dtx-demo-")
    with suppress(BrokenPipeError):
        sys.stdout.write(f"{group} {folder}\n")
        sys.stdout.flush()
    sys.stdin.buffer.read()
    _kill(group)
    shutil.rmtree(folder, ignore_errors=True)


def _make_group() -> int:
    """Return a new process group. A child that only waits keeps it alive as long as this process lives."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(theirs)
        os.read(ours, 1)
        os._exit(0)
    os.setpgid(child, child)
    os.close(ours)
    return child


def _kill(group: int) -> None:
    """Kill the processes of *group* and wait until they are gone, so that they do not write into the folder again."""
    os.killpg(group, signal.SIGKILL)
    os.waitpid(group, 0)
    deadline = time.monotonic() + _PATIENCE
    with suppress(OSError):
        while time.monotonic() < deadline:
            os.killpg(group, signal.SIGKILL)
            time.sleep(0.01)


if __name__ == "__main__":
    main()
