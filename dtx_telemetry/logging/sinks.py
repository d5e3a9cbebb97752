"""Where the handler puts its lines: written at once, or by a thread in the background (``LOG_QUEUE``)."""

import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from ..errors import error_text
from ..rendering import Renderer, Sanitizer
from .output import Output
from .records import OWN_NAMES

__all__ = ["DirectSink", "QueueSink", "Sink", "bare_line"]

Line = dict[str, Any]


class Sink(Protocol):
    """What takes finished lines, in two steps: the logging thread makes of each what can wait, and gives that away."""

    def prepare(self, line: Line) -> Any:
        """Return what can wait of *line*, whatever its values are."""

    def take(self, prepared: Any) -> None:
        """Take what `prepare` returned; raises nothing."""

    def flush(self) -> None:
        """Wait until what was put is written, for a bounded time."""

    def close(self) -> None:
        """Give back files and threads, once there is nothing more to put."""


class DirectSink:
    """Renders and writes each line before the log call returns."""

    __slots__ = ("_output", "prepare", "take")

    def __init__(self, renderer: Renderer, output: Output) -> None:
        self._output = output
        # Each line goes these two ways, so nothing stands in them.
        self.prepare = renderer.render
        self.take = output.write

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self._output.close()


class QueueSink:
    """Renders and writes in a thread of its own; what does not fit into the queue is dropped and counted.

    Each process that logs has its own queue and thread, a forked child too: what waited in the parent is the parent's to write.

    Args:
        sanitizer: makes values plain before the log call returns, since they may change after it.
        renderer: makes bytes of lines.
        output: where they are written.
        size: lines that may wait.
        patience: seconds that `flush` waits at most.
    """

    __slots__ = ("_patience", "_worker", "_workers", "prepare")

    def __init__(
        self, sanitizer: Sanitizer, renderer: Renderer, output: Output, *, size: int = 10_000, patience: float = 2.0
    ) -> None:
        self.prepare = sanitizer.line
        self._patience = patience
        self._worker = partial(_Worker, renderer, output, size)
        self._workers: dict[int, _Worker] = {}

    def take(self, prepared: Line) -> None:
        worker = self._workers.get(os.getpid()) or self._start()
        worker.put(prepared)

    def flush(self) -> None:
        worker = self._workers.get(os.getpid())
        if worker is not None:
            worker.wait(self._patience)

    def close(self) -> None:
        self.flush()
        worker = self._workers.pop(os.getpid(), None)
        if worker is not None:
            worker.stop()

    def _start(self) -> "_Worker":
        # No lock: another thread might hold it while this process is forked. Who comes first starts the thread.
        new = self._worker()
        worker = self._workers.setdefault(os.getpid(), new)
        if worker is new:
            worker.start()
            _at_child_exit(self.flush)
        return worker


class _Worker:
    """One process's queue, and the thread that empties it."""

    __slots__ = ("_counting", "_direct", "_dropped", "_lines", "_output", "_renderer")

    def __init__(self, renderer: Renderer, output: Output, size: int) -> None:
        self._renderer = renderer
        self._output = output
        self._lines: queue.Queue[Line | None] = queue.Queue(size)
        self._dropped = 0
        self._counting = threading.Lock()
        self._direct = False

    def start(self) -> None:
        try:
            threading.Thread(target=self._work, name="dtx-telemetry-log", daemon=True).start()
        except RuntimeError:  # the interpreter is shutting down
            self._direct = True

    def put(self, line: Line) -> None:
        if self._direct or (sys.is_finalizing() and not self._lines.unfinished_tasks):
            self._write(line)  # no thread runs any more
            return
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            with self._counting:
                self._dropped += 1

    def wait(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        with self._lines.all_tasks_done:
            while self._lines.unfinished_tasks and (left := deadline - time.monotonic()) > 0:
                self._lines.all_tasks_done.wait(left)

    def stop(self) -> None:
        """Let the thread end, and close what it writes to, after what waits is written."""
        if self._direct:
            self._output.close()
            return
        with suppress(queue.Full):  # then it is blocked, and so for as long as the process lives
            self._lines.put_nowait(None)

    def _work(self) -> None:
        while (line := self._lines.get()) is not None:
            with self._counting:
                dropped, self._dropped = self._dropped, 0
            if dropped:
                self._output.lose(dropped)
            self._write(line)
            self._lines.task_done()
        self._output.close()

    def _write(self, line: Line) -> None:
        try:
            data = self._renderer.encode(line)
        except Exception as error:
            data = self._renderer.render(bare_line(line, error))
        self._output.write(data)


def bare_line(line: Line, error: Exception) -> Line:
    """Return what is certain of a line that could not be rendered."""
    return {**{name: str(line[name]) for name in OWN_NAMES & line.keys()}, "telemetry_failed": error_text(error)}


def _at_child_exit(flush: Callable[[], None]) -> None:
    """Have children of multiprocessing and billiard flush: they end by ``os._exit``, which ``atexit`` does not see."""
    for name in ("multiprocessing.util", "billiard.util"):
        module = sys.modules.get(name)
        if module is not None:
            module.Finalize(None, flush, exitpriority=-100)
