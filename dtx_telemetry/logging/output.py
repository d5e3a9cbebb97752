"""What takes finished lines: the output, which counts those that were lost, and the exporter, if there is one."""

import logging
import os
import sys
from _thread import RLock
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from weakref import WeakSet

from ..errors import is_interruption
from ..rendering import Renderer
from .line import Line
from .streams import Target, TornLineError

__all__ = ["EXPORTS", "DirectSink", "LineExport", "Output", "Sink", "set_exports"]

#: Lines that may wait while another one is being written by the same thread.
_MAX_DEFERRED = 1000


class Output:
    """Writes lines to a target, and counts those that it could not.

    A thread may log while it writes: by a signal handler, a finalizer, a callback of the garbage collector, or a stream that
    logs what is written to it. Such a line is deferred until the first one is out: it neither waits for its own thread nor
    lands in the midst of that line.

    Args:
        target: what it writes to.
        report: makes the line that tells how many were lost, once output works again.
    """

    __slots__ = ("__weakref__", "_deferred", "_lock", "_lost", "_report", "_target", "_torn", "_writing")

    def __init__(self, target: Target, report: Callable[[int], bytes]) -> None:
        self._target = target
        self._report = report
        self._start()
        _outputs.add(self)

    def write(self, data: bytes) -> None:
        """Write *data*, which is a whole line. Raises nothing but what interrupts it."""
        try:
            # What was printed before comes before. Without the lock: whoever is inside print may have to wait for it.
            self._target.flush()
        except Exception as error:  # it will not write either, or this thread was interrupted in the midst of a print
            if is_interruption(error):
                raise
        if sys.is_finalizing():  # a daemon thread may have stopped for ever while it held the lock
            self._write_line(data, nested=self._writing)
            return
        # A with statement and not acquire(): a signal handler that raises cannot get between it and the release.
        with self._lock:
            if self._writing:
                self._defer(data)
                return
            self._write_line(data)
            if self._deferred:
                self._write_deferred()

    def lose(self, count: int) -> None:
        """Count lines that were lost on their way here."""
        with self._lock:
            self._lost += count

    def close(self) -> None:
        """Give back what the target holds."""
        with self._lock:
            self._target.close()

    def _start(self) -> None:
        """Begin anew in a forked child: the lock may be held for ever there, and what was lost is the parent's to tell."""
        # Python's own in gevent's and eventlet's processes too: theirs, written in Python, can be interrupted halfway.
        self._lock = RLock()
        self._writing = self._torn = False
        self._lost = 0
        self._deferred: deque[bytes] = deque()

    def _write_line(self, data: bytes, nested: bool = False) -> None:
        try:
            self._writing = True
            if self._lost or self._torn:
                self._write_after_loss(data, nested)
            else:
                self._target.write(data, nested)
        except Exception as error:
            self._torn = self._torn or isinstance(error, TornLineError)
            self._lost += 1
            if is_interruption(error):
                raise
        finally:
            self._writing = False

    def _write_after_loss(self, data: bytes, nested: bool) -> None:
        """Write *data*, on a line of its own, after the report on what was lost before."""
        for line in [self._report(self._lost), data] if self._lost else [data]:
            self._target.write(b"\n" + line if self._torn else line, nested)
            self._torn = False
            if line is not data:
                lost, self._lost = self._lost, 0
                if EXPORTS.count_lost is not None:
                    EXPORTS.count_lost(lost)

    def _defer(self, data: bytes) -> None:
        if len(self._deferred) < _MAX_DEFERRED:
            self._deferred.append(data)
        else:
            self._lost += 1

    def _write_deferred(self) -> None:
        """Write what was deferred. Some of it stays for the next time if each of these lines makes another one."""
        for _ in range(_MAX_DEFERRED):
            if not self._deferred:
                return
            self._write_line(self._deferred.popleft(), nested=True)


#: Those whose locks have to be new in a forked child; held weakly. Asking for the process's id at each line costs more.
_outputs: WeakSet[Output] = WeakSet()


def _start_anew() -> None:
    for output in list(_outputs):
        output._start()


os.register_at_fork(after_in_child=_start_anew)


class Sink(Protocol):
    """What takes finished lines, in two steps: the logging thread makes of each what cannot wait, and gives that away."""

    def prepare(self, line: Line) -> Any:
        """Return what cannot wait of *line*, whatever its values are."""

    def take(self, prepared: Any) -> None:
        """Take what `prepare` returned. Raises nothing."""

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


class LineExport(Protocol):
    """Takes finished lines besides the output. Raises nothing."""

    def __call__(self, created: float, line: Mapping[Any, Any], level: int, error: BaseException | None) -> None:
        """Take *line*, logged at *created* (seconds since the epoch), with the exception that it tells of."""


class _Exports:
    """What tracing, which stands above, asks to be told, each ``None`` if it does not. Written at start-up."""

    __slots__ = ("count_lost", "export", "lets_pass")

    def __init__(self) -> None:
        self.export: LineExport | None = None
        self.lets_pass: Callable[[logging.LogRecord], bool] | None = None
        self.count_lost: Callable[[int], None] | None = None


EXPORTS = _Exports()


def set_exports(
    *,
    export: LineExport | None = None,
    lets_pass: Callable[[logging.LogRecord], bool] | None = None,
    count_lost: Callable[[int], None] | None = None,
) -> None:
    """Set all three, or take them off without arguments.

    Args:
        export: takes each line that is printed.
        lets_pass: says whether a record is printed.
        count_lost: is told how many lines were lost, once output works again.
    """
    EXPORTS.export = export
    EXPORTS.lets_pass = lets_pass
    EXPORTS.count_lost = count_lost
