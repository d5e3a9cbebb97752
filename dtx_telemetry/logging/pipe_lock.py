"""A lock between the processes that share a pipe, for lines that the system does not write in one piece."""

import fcntl
import os
import select
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["alone_on_pipe", "needs_lock"]

_PATIENCE = 1.0
_PAUSE = 0.001


def needs_lock(descriptor: int, size: int) -> bool:
    """Whether other processes' output could get between the parts of a line of *size* bytes; see pipe(7), ``PIPE_BUF``."""
    return size > select.PIPE_BUF and stat.S_ISFIFO(os.fstat(descriptor).st_mode)


@contextmanager
def alone_on_pipe(descriptor: int) -> Iterator[None]:
    """Keep other processes that ask for it from writing to the pipe, or go on without after a second: one may be stopped.

    A record lock and not ``flock``, which forked processes share; the system releases it where a process dies.
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
