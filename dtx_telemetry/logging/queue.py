"""``LOG_QUEUE``: a thread in the background renders and writes, and the application does not wait."""

import atexit
import itertools
import os
import queue
import sys
import threading
from collections.abc import Callable
from functools import partial

from ..errors import is_interruption
from ..rendering import Renderer, Sanitizer
from .line import Line, bare_line
from .output import Output

__all__ = ["QueueSink"]

_PAUSE = 1.0


class _Worker:
    """One process's queue, and the thread that empties it.

    Nothing here is locked, so that a signal handler or a finalizer may log in the midst of anything.
    """

    __slots__ = ("_direct", "_dropped", "_lines", "_output", "_renderer", "_size", "_writing")

    def __init__(self, renderer: Renderer, output: Output, size: int) -> None:
        self._renderer = renderer
        self._output = output
        self._size = size
        # Lines; events to be set once what came before them is written; None as the end.
        self._lines: queue.SimpleQueue[Line | threading.Event | None] = queue.SimpleQueue()
        self._dropped = _Tally()
        self._direct = self._writing = False

    def start(self) -> None:
        try:
            threading.Thread(target=self._work, name="dtx-telemetry-log", daemon=True).start()
        except RuntimeError:  # the interpreter is shutting down
            self._direct = True

    def put(self, line: Line) -> None:
        if self._direct or self._has_stopped():
            self._write(line)
        elif self._lines.qsize() < self._size:
            self._lines.put(line)
        else:
            self._dropped.add()

    def wait(self, patience: float) -> bool:
        """Wait for *patience* seconds at most until all that was put before is written. Return True if it is."""
        if self._direct:
            return True
        written = threading.Event()
        self._lines.put(written)
        return written.wait(patience)

    def finish(self, patience: float) -> None:
        """Write all that waits, and whatever comes later at once: the process ends, and the thread with it."""
        self._direct = self.wait(patience)

    def stop(self) -> None:
        """Let the thread end, and close what it writes to, after what waits is written."""
        if self._direct:
            self._output.close()
        else:
            self._lines.put(None)

    def _work(self) -> None:
        process = os.getpid()
        while (item := self._next()) is not None:
            if os.getpid() != process:  # a greenlet that a fork has copied, with the queue: both are the parent's
                return
            if isinstance(item, threading.Event):
                item.set()
                continue
            dropped = self._dropped.take()
            if dropped:
                self._output.lose(dropped)
            self._writing = True
            self._write(item)
            self._writing = False
        self._output.close()

    def _next(self) -> Line | threading.Event | None:
        while True:
            try:
                return self._lines.get(timeout=_PAUSE)
            except queue.Empty:  # it may not be: gevent's wakes no thread if a signal handler puts something while its hub runs
                continue

    def _has_stopped(self) -> bool:
        """Return True if the interpreter ends and the thread, which runs no more, has left nothing behind."""
        return sys.is_finalizing() and self._lines.empty() and not self._writing

    def _write(self, line: Line) -> None:
        try:
            data = self._renderer.encode(line)
        except Exception as error:
            data = self._renderer.render(bare_line(line, error))
        self._output.write(data)


class _Tally:
    """Counts without a lock: any number of threads add, one takes."""

    __slots__ = ("_calls", "_taken")

    def __init__(self) -> None:
        self._calls = itertools.count()  # its next number comes in one step, which no signal and no thread gets into
        self._taken = 0

    def add(self) -> None:
        """Count one more."""
        next(self._calls)

    def take(self) -> int:
        """Return how many were added since it was last asked."""
        calls = next(self._calls)
        added, self._taken = calls - self._taken, calls + 1
        return added


class QueueSink:
    """Renders and writes in a thread of its own. What does not fit into the queue is dropped and counted.

    Each process that logs has its own queue and thread, a forked child too: what waited in the parent is the parent's to write.

    Args:
        sanitizer: makes values plain before the log call returns, since they may change after it.
        renderer: makes bytes of lines.
        output: writes them.
        size: lines that may wait, give or take one for each thread.
        patience: seconds that `flush` waits at most.
    """

    __slots__ = ("_output", "_patience", "_worker", "_workers", "prepare")

    def __init__(
        self, sanitizer: Sanitizer, renderer: Renderer, output: Output, *, size: int = 10_000, patience: float = 2.0
    ) -> None:
        self.prepare = sanitizer.line
        self._output = output
        self._patience = patience
        self._worker = partial(_Worker, renderer, output, size)
        self._workers: dict[int, _Worker] = {}

    def take(self, prepared: Line) -> None:
        try:
            worker = self._workers.get(os.getpid()) or self._start()
        except Exception as error:  # logged by a signal handler in the midst of an import that a queue or thread needs
            self._output.lose(1)
            if is_interruption(error):
                raise
        else:
            worker.put(prepared)

    def flush(self) -> None:
        worker = self._workers.get(os.getpid())
        if worker is not None:
            worker.wait(self._patience)

    def close(self) -> None:
        atexit.unregister(self._finish)
        self.flush()
        worker = self._workers.pop(os.getpid(), None)
        if worker is not None:
            worker.stop()

    def _start(self) -> _Worker:
        # No lock: another thread might hold it while this process is forked. Who comes first starts the thread.
        new = self._worker()
        worker = self._workers.setdefault(os.getpid(), new)
        if worker is new:
            worker.start()
            # Not left to logging.shutdown: it forgets the handlers that were there before the last dictConfig.
            atexit.register(self._finish)
            _at_child_exit(self._finish)
        return worker

    def _finish(self) -> None:
        worker = self._workers.get(os.getpid())
        if worker is not None:
            worker.finish(self._patience)


def _at_child_exit(flush: Callable[[], None]) -> None:
    """Have children of multiprocessing and billiard flush: they end by ``os._exit``, which ``atexit`` does not see."""
    for name in ("multiprocessing.util", "billiard.util"):
        module = sys.modules.get(name)
        if module is not None:
            module.Finalize(None, flush, exitpriority=-100)
