"""Where the handler puts its lines: written at once, or by a thread in the background (``LOG_QUEUE``)."""

import atexit
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from ..errors import is_interruption
from ..rendering import Renderer, Sanitizer
from .lines import Line
from .output import Output
from .worker import Worker

__all__ = ["DirectSink", "QueueSink", "Sink"]


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
        # Bound directly, so that the hot path makes no extra call.
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
        self._worker = partial(Worker, renderer, output, size)
        self._workers: dict[int, Worker] = {}

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

    def _start(self) -> Worker:
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
