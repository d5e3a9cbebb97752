"""What each process makes for itself, and how it is closed in time when the process ends."""

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from ...context import end_with_uvicorn
from ...guard import report

__all__ = ["CHILD_SECONDS", "EXIT_SECONDS", "Closer", "PerProcess", "close_all", "gevent_has_patched"]

#: How long the exit of a process waits for the last exports, all signals together.
EXIT_SECONDS = 2.5
#: The same for a pool's child that is recycled: another one is waiting to take its place.
CHILD_SECONDS = 1.5
# As many as gevent's pool has by default.
_GEVENTS_THREADS = 10
# How long a thread waits for another that makes the same thing.
_MAKING_SECONDS = 2.0

_T = TypeVar("_T")


class PerProcess(Generic[_T]):
    """Something that each process makes for itself when it first asks for it.

    A forked child starts without it: threads do not survive a fork, and a connection must not be shared.

    Args:
        make: makes it. If that fails, it is said once and the process goes on without it.
    """

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._start_anew()
        _instances.add(self)

    def _start_anew(self) -> None:
        self._made: _T | None = None
        self._failed = False
        self._is_being_made = False
        vars(self).pop("_lock", None)

    @property
    def is_made(self) -> bool:
        """True once this process has made it."""
        return self._made is not None

    def get(self) -> _T | None:
        """Return it, None if it could not be made or is being made right now."""
        made = self._made
        return made if made is not None or self._failed else self._make_once()

    def _make_once(self) -> _T | None:
        lock = self._own_lock()
        # Bounded: what makes it may log in yet another thread, whose line asks for something that waits for this one.
        if not lock.acquire(timeout=_MAKING_SECONDS):
            return None
        try:
            if self._made is None and not self._failed and not self._is_being_made:
                self._try_to_make()
            return self._made
        finally:
            lock.release()

    def _own_lock(self) -> Any:
        """Return a reentrant lock: what is logged while it is made asks for it again, in the same thread, and gets None.

        It is made when it is first needed. A server with gevent may patch after it has loaded the application and forked, and
        a lock from before keeps no greenlet out.
        """
        return vars(self).setdefault("_lock", threading.RLock())  # one for all who ask at once

    def _try_to_make(self) -> None:
        self._is_being_made = True
        try:
            self._made = self._make()
        except Exception as error:
            self._failed = True
            report("OpenTelemetry's set-up", error)
        finally:
            self._is_being_made = False


class Closer:
    """Runs *close* in a thread of its own once it is asked to.

    The thread is started now: at exit Python starts none any more (since 3.12), and only a thread can be left behind when a
    collector does not answer.
    """

    def __init__(self, name: str, close: Callable[[], object]) -> None:
        self._close = close
        self._asked = threading.Event()
        self._done = threading.Event()
        threading.Thread(target=self._run, name=f"dtx_telemetry.{name}", daemon=True).start()
        _closers.append(self)
        _start_gevents_threads()

    def _run(self) -> None:
        self._asked.wait()
        try:
            self._close()
        except Exception as error:
            report("OpenTelemetry's shutdown", error)
        finally:
            self._done.set()

    def ask(self) -> None:
        self._asked.set()

    def wait(self, seconds: float) -> bool:
        """Return True if it was done within *seconds*."""
        return self._done.wait(max(seconds, 0.0))


def gevent_has_patched() -> bool:
    """Return True if gevent has replaced what waits in the standard library."""
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("socket"))


def _start_gevents_threads() -> None:
    """Start all threads that gevent may want now, and for good: at exit it is too late for them too.

    It looks up hosts in them, and gRPC waits in them for each of its calls. If all are busy, it waits for one.
    """
    if gevent_has_patched():
        pool = sys.modules["gevent"].get_hub().threadpool
        pool._idle_task_timeout = -1  # of the threads to come; those that are there end when they were idle for five seconds
        pool.size = max(pool.size, min(pool.maxsize, _GEVENTS_THREADS))


_instances: WeakSet[PerProcess[Any]] = WeakSet()
# What this process has to close, a few for each signal. A registry, since the hooks that end a process are given nothing.
_closers: list[Closer] = []


def close_all(seconds: float = EXIT_SECONDS) -> None:
    """Export what is left and close, within *seconds* for everything. What takes longer is left behind. Callable again."""
    deadline = time.monotonic() + seconds
    closers = _closers.copy()
    _closers.clear()
    for closer in closers:
        closer.ask()
    for closer in closers:
        closer.wait(deadline - time.monotonic())


def register_end() -> None:
    """Close at the end of processes that end without ``atexit``: children of ``multiprocessing``, and uvicorn's."""
    end_with_uvicorn(close_all, last=True)
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, close_all, exitpriority=-100)


def _after_fork_in_child() -> None:
    _closers.clear()
    for instance in list(_instances):
        instance._start_anew()


# Before any hook of the SDK's: what the child does not use must be gone when those run.
os.register_at_fork(after_in_child=_after_fork_in_child)
# Early, so that it runs after whatever is registered later and may still end spans.
atexit.register(close_all)
