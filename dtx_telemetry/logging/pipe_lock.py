"""A lock between the processes that share a pipe, for lines that the system does not write in one piece."""

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from select import PIPE_BUF

__all__ = ["PIPE_BUF", "alone_on_pipe", "is_pipe"]

_PATIENCE = 1.0
_PAUSE = 0.001


def is_pipe(descriptor: int) -> bool:
    """Whether *descriptor* is a pipe's, which takes longer data than `PIPE_BUF` in parts while it is full; see pipe(7)."""
    return stat.S_ISFIFO(os.fstat(descriptor).st_mode)


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
