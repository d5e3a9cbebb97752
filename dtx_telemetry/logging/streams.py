"""What lines are written to: the process's ``stdout`` or ``stderr``, or a file."""

import fcntl
import os
import select
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper, UnsupportedOperation
from pathlib import Path
from select import PIPE_BUF
from typing import Any, Protocol

__all__ = ["FileTarget", "StreamTarget", "Target", "TornLineError"]

#: Seconds that a reader is waited for who stopped reading behind a non-blocking descriptor.
_MAX_WAIT = 1.0
_CLOSED = -1
# Of a terminal that does not say.
_DEFAULT_COLUMNS = 80
#: Seconds that another process is waited for who writes to the same pipe, and between two looks.
_PATIENCE = 1.0
_PAUSE = 0.001


class TornLineError(OSError):
    """Only a part of a line is written."""


class Target(Protocol):
    """Something to write to."""

    def flush(self) -> None:
        """Let out what was written there before by others. May wait for what is being written there. May raise anything."""

    def write(self, data: bytes, nested: bool, /) -> None:
        """Write *data*. *nested*: a line that was logged while another one was being written. May raise anything."""

    def is_terminal(self) -> bool:
        """Return True if somebody may be looking. Raises nothing."""

    def columns(self) -> int | None:
        """Return how wide the terminal is, ``None`` if it is no terminal. Raises nothing."""

    def close(self) -> None:
        """Give back what is held. A later write takes it again."""


class StreamTarget:
    """The process's ``stdout`` or ``stderr``, as it is when this is made.

    What replaces it later is not followed: ``contextlib.redirect_stdout`` captures the application's own output, Celery's
    worker logs what is printed. Two exceptions: pytest's capture, and any stream once the first one is closed.

    Args:
        name: ``stdout`` or ``stderr``.
    """

    __slots__ = ("_at_setup", "_name", "_writer")

    def __init__(self, name: str) -> None:
        self._name = name
        self._at_setup = _behind_proxy(getattr(sys, name), name)
        self._writer = _Writer()

    def flush(self) -> None:
        stream = getattr(sys, self._name)
        if stream is not self._at_setup:
            stream = self._stream()
        if isinstance(stream, TextIOWrapper):
            stream.flush()

    def write(self, data: bytes, nested: bool, /) -> None:
        stream = getattr(sys, self._name)
        if stream is not self._at_setup or nested:
            stream = getattr(sys, f"__{self._name}__") if nested else self._stream()
        try:
            descriptor = stream.fileno() if isinstance(stream, TextIOWrapper) else None
        except UnsupportedOperation:
            descriptor = None
        if descriptor is None:  # something stands between us and the system
            stream.write(data.decode())
            stream.flush()
        elif len(data) > PIPE_BUF and _is_pipe(descriptor):
            with _alone_on_pipe(descriptor):
                self._writer.write(descriptor, data)
        else:
            self._writer.write(descriptor, data)

    def columns(self) -> int | None:
        try:
            stream = self._stream()
            if not stream.isatty():
                return None
            return os.get_terminal_size(stream.fileno()).columns or _DEFAULT_COLUMNS
        except Exception:
            return None

    def is_terminal(self) -> bool:
        try:
            return bool(self._stream().isatty())
        except Exception:
            return False

    def close(self) -> None:
        pass

    def _stream(self) -> Any:
        current = getattr(sys, self._name)
        if current is self._at_setup or type(current).__module__ == "_pytest.capture":
            return current
        return _behind_proxy(current, self._name) if _is_closed(self._at_setup) else self._at_setup


class FileTarget:
    """A file that is appended to, and opened again after it was moved away (by logrotate).

    Raises:
        OSError: it cannot be opened.
    """

    __slots__ = ("_descriptor", "_identity", "_path", "_writer")

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._descriptor = _CLOSED
        self._writer = _Writer()
        self._open()

    def flush(self) -> None:
        pass

    def write(self, data: bytes, _nested: bool, /) -> None:
        if self._moved():
            self.close()
            self._open()
        self._writer.write(self._descriptor, data)

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


class _Writer:
    """Writes whole lines to a descriptor: in one call, unless the system takes less of it.

    Behind a descriptor that somebody made non-blocking a reader who stopped is waited for once. What comes while he does not
    read is lost at once, as with a bare ``StreamHandler``: each line would wait under the lock.
    """

    __slots__ = ("_patience",)

    def __init__(self) -> None:
        self._patience = _MAX_WAIT

    def write(self, descriptor: int, data: bytes) -> None:
        """Write *data*.

        Raises:
            OSError: nothing of it is written.
            TornLineError: a part is written, and the rest cannot be.
        """
        written = 0
        while written < len(data):
            try:
                written += os.write(descriptor, data[written:] if written else data)
            except BlockingIOError:
                if not select.select([], [descriptor], [], self._patience)[1]:
                    self._patience = 0.0
                    raise _failure(written) from None
            except OSError:
                raise _failure(written) from None
        self._patience = _MAX_WAIT


def _failure(written: int) -> OSError:
    return TornLineError() if written else OSError()


def _behind_proxy(stream: Any, name: str) -> Any:
    """Return the stream behind *stream* if that is the proxy by which Celery logs what is printed."""
    kind = type(stream)
    is_proxy = kind.__name__ == "LoggingProxy" and kind.__module__ == "celery.utils.log"
    return getattr(sys, f"__{name}__") if is_proxy else stream


def _is_closed(stream: Any) -> bool:
    try:
        return stream is None or bool(getattr(stream, "closed", False))
    except ValueError:  # it was detached from what it wrote to
        return True


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _is_pipe(descriptor: int) -> bool:
    """Return True for a pipe's descriptor: a full pipe takes data longer than `PIPE_BUF` in parts. See pipe(7)."""
    return stat.S_ISFIFO(os.fstat(descriptor).st_mode)


@contextmanager
def _alone_on_pipe(descriptor: int) -> Iterator[None]:
    """Keep other processes that ask for it from writing to the pipe, or go on without after a second: one may be stopped.

    A record lock and not ``flock``, which forked processes share. The system releases it when a process dies.
    """
    locked = _lock(descriptor)
    try:
        yield
    finally:
        if locked:
            fcntl.lockf(descriptor, fcntl.LOCK_UN)


def _lock(descriptor: int) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # POSIX leaves it to the system which
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE)
        except OSError:  # this system has none for pipes
            return False
        else:
            return True
