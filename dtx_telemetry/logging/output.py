"""Where lines go: one write each, to whatever ``sys.stdout`` or ``sys.stderr`` is at that moment, or to a file.

What goes wrong there is counted and stays here. Lines are UTF-8.
"""

import os
import select
import sys
import threading
from collections.abc import Callable
from io import TextIOWrapper, UnsupportedOperation
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakSet

from ..errors import is_interruption

__all__ = ["FileTarget", "Output", "StreamTarget", "Target"]

_MAX_WAIT = 1.0
_CLOSED = -1
# Of a terminal that does not say.
_DEFAULT_COLUMNS = 80


class _TornLineError(OSError):
    """Only a part of a line is written."""


class Target(Protocol):
    """Something to write to."""

    def write(self, data: bytes, nested: bool, /) -> None:
        """Write *data*; *nested*: while a write is going on in this thread, which then logs itself. May raise anything."""

    def is_terminal(self) -> bool:
        """Whether somebody may be looking; raises nothing."""

    def columns(self) -> int | None:
        """Return how wide the terminal is, ``None`` where it is none; raises nothing."""

    def close(self) -> None:
        """Give back what is held; a later write takes it again."""


class StreamTarget:
    """The process's ``stdout`` or ``stderr``, looked up at each write, since tests and servers replace it."""

    __slots__ = ("_name", "_original")

    def __init__(self, name: str) -> None:
        self._name = name
        self._original = f"__{name}__"

    def write(self, data: bytes, nested: bool, /) -> None:
        stream = getattr(sys, self._original if nested else self._name)
        if type(stream) is not TextIOWrapper:
            stream = self._beneath(stream)
        stream.flush()  # what was printed before comes before
        try:
            descriptor = stream.fileno() if isinstance(stream, TextIOWrapper) else None
        except UnsupportedOperation:
            descriptor = None
        if descriptor is None:  # something stands between us and the system
            stream.write(data.decode())
            stream.flush()
            return
        try:
            written = os.write(descriptor, data)
        except BlockingIOError:
            written = 0
        if written < len(data):
            _write_rest(descriptor, data, written)

    def is_terminal(self) -> bool:
        try:
            return bool(self._beneath(getattr(sys, self._name)).isatty())
        except Exception:
            return False

    def columns(self) -> int | None:
        try:
            stream = self._beneath(getattr(sys, self._name))
            if not stream.isatty():
                return None
            return os.get_terminal_size(stream.fileno()).columns or _DEFAULT_COLUMNS
        except Exception:
            return None

    def close(self) -> None:
        pass

    def _beneath(self, stream: Any) -> Any:
        kind = type(stream)
        if kind.__name__ == "LoggingProxy" and kind.__module__ == "celery.utils.log":
            return getattr(sys, self._original)  # Celery's worker makes a log line of each write to it
        return stream


class FileTarget:
    """A file that is appended to, and opened again after it was moved away (by logrotate).

    Raises:
        OSError: it cannot be opened.
    """

    __slots__ = ("_descriptor", "_identity", "_path")

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._descriptor = _CLOSED
        self._open()

    def write(self, data: bytes, _nested: bool, /) -> None:
        if self._moved():
            self.close()
            self._open()
        _write_rest(self._descriptor, data, 0)

    def is_terminal(self) -> bool:
        return False

    def columns(self) -> int | None:
        return None

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, _CLOSED
        if descriptor != _CLOSED:
            os.close(descriptor)

    def _open(self) -> None:
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._identity = _identity(os.fstat(self._descriptor))

    def _moved(self) -> bool:
        try:
            return self._descriptor == _CLOSED or _identity(self._path.stat()) != self._identity
        except FileNotFoundError:
            return True


class Output:
    """Writes lines to a target, one after the other, and counts those that it could not.

    Args:
        target: where to.
        report: makes the line that tells how many were lost, once output works again.
    """

    __slots__ = ("__weakref__", "_busy", "_lock", "_lost", "_report", "_target", "_torn")

    def __init__(self, target: Target, report: Callable[[int], bytes]) -> None:
        self._target = target
        self._report = report
        self._lost = 0
        self._busy = self._torn = False
        self._start()
        _outputs.add(self)

    def write(self, data: bytes) -> None:
        """Write *data*, which is a whole line; raises nothing but what interrupts it."""
        lock = self._lock
        lock.acquire()  # a with statement takes twice as long
        busy = self._busy
        try:
            if busy or self._lost or self._torn:
                self._write_after(data)
            else:
                self._busy = True
                self._target.write(data, False)
        except Exception as error:
            self._torn = isinstance(error, _TornLineError)
            self._lost += 1
            if is_interruption(error):
                raise
        finally:
            self._busy = busy
            lock.release()

    def _write_after(self, data: bytes) -> None:
        """Write *data* after lines that were lost or torn, or while a line of this thread is being written."""
        if self._lost and self._put(self._report(self._lost)):
            self._lost = 0
        if not self._put(data):
            self._lost += 1

    def lose(self, count: int) -> None:
        """Count lines that were lost on their way here."""
        with self._lock:
            self._lost += count

    def close(self) -> None:
        """Give back what the target holds."""
        with self._lock:
            self._target.close()

    def _start(self) -> None:
        """Begin anew: in a forked child, where the lock may be held for ever, and what was lost is the parent's to tell."""
        self._lock = threading.RLock()
        self._lost = 0
        self._busy = False
        self._torn = False

    def _put(self, data: bytes) -> bool:
        nested, self._busy = self._busy, True
        try:
            self._target.write(b"\n" + data if self._torn else data, nested)
        except _TornLineError:
            self._torn = True
            return False
        except Exception as error:
            if is_interruption(error):
                raise
            return False
        finally:
            self._busy = nested
        self._torn = False
        return True


#: Those whose locks have to be new in a forked child; held weakly. Asking for the process's id at each line costs more.
_outputs: WeakSet[Output] = WeakSet()


def _start_anew() -> None:
    for output in list(_outputs):
        output._start()


os.register_at_fork(after_in_child=_start_anew)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _write_rest(descriptor: int, data: bytes, written: int) -> None:
    """Write what is left of *data* after its first *written* bytes: in one call, unless the system takes less of it.

    Raises:
        _TornLineError: a part is written, and the rest cannot be.
    """
    while written < len(data):
        try:
            written += os.write(descriptor, data[written:])
        except BlockingIOError:
            # Somebody made the descriptor non-blocking: wait for the reader, but not for ever.
            if not select.select([], [descriptor], [], _MAX_WAIT)[1]:
                raise _failure(written) from None
        except OSError:
            raise _failure(written) from None


def _failure(written: int) -> OSError:
    return _TornLineError() if written else OSError()
