"""The demo's own processes: started, watched, and stopped."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import IO, Self, cast

from .errors import DemoError

__all__ = ["Processes"]

_TAIL = 15
_PATIENCE = 8.0


class Processes:
    """All processes of a run. They are stopped on leaving the block.

    Args:
        group: the process group that they join.
        take: gets the name of the process and the text of each line that it writes.
    """

    def __init__(self, group: int, take: Callable[[str, str], None]) -> None:
        self._group = group
        self._take = take
        self._started: list[_Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

    def start(
        self,
        name: str,
        *args: str,
        environ: Mapping[str, str],
        listener: socket.socket | None = None,
        once: bool = False,
        serves: bool = False,
    ) -> "_Process":
        """Start ``python ARGS``.

        Args:
            name: by which it is known.
            args: the arguments.
            environ: the whole environment.
            listener: a listening socket to hand over. It is the process's alone after that.
            once: it does one thing and ends.
            serves: the others need it, so it is stopped after them.
        """
        process = _Process(name, args, environ, self._group, self._take, listener)
        process.once, process.serves = once, serves
        self._started.append(process)
        return process

    def check(self) -> None:
        """Make sure that all are well.

        Raises:
            DemoError: one of them ended though nobody told it to. The message has its last lines.
        """
        for process in self._started:
            if process.has_failed():
                raise DemoError(process.obituary())

    def stop(self) -> None:
        """Tell all to stop and wait until they have and their lines are read, for a bounded time."""
        deadline = time.monotonic() + _PATIENCE
        for serves in (False, True):
            stopping = [process for process in self._started if process.serves is serves]
            for process in stopping:
                process.tell(signal.SIGTERM)
            for process in stopping:
                process.wait(deadline)
        self._started.clear()


class _Process:
    """One process and the thread that reads what it writes."""

    def __init__(
        self,
        name: str,
        args: tuple[str, ...],
        environ: Mapping[str, str],
        group: int,
        take: Callable[[str, str], None],
        listener: socket.socket | None,
    ) -> None:
        self.name = name
        self.once = self.serves = False
        self._take = take
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._popen = subprocess.Popen(  # noqa: S603 - the demo's own
            [sys.executable, *args],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=group,
            pass_fds=() if listener is None else (listener.fileno(),),
        )
        if listener is not None:
            listener.close()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def done(self) -> bool:
        """Whether it ended well."""
        return self._popen.poll() == 0

    def has_failed(self) -> bool:
        """Whether it ended when it should not have, or with an error."""
        return self._popen.poll() not in ({None, 0} if self.once else {None})

    def obituary(self) -> str:
        """Say how it ended, with its last lines."""
        self._reader.join(1)
        code = self._popen.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return "\n    ".join([f"the process '{self.name}' {how}; its last lines:", *(self._tail or ["(none)"])])

    def tell(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        with suppress(ProcessLookupError):
            self._popen.send_signal(number)

    def wait(self, deadline: float) -> None:
        """Wait for its end and for its last line, and kill it at *deadline*."""
        try:
            self._popen.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait(1)
        self._reader.join(1)

    def _read(self) -> None:
        with cast("IO[bytes]", self._popen.stdout) as lines:
            for line in lines:
                text = line.decode("utf-8", "backslashreplace").rstrip("\n")
                self._tail.append(text)
                self._take(self.name, text)
