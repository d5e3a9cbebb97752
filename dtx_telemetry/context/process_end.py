"""The end of a process, for what is still open then: of some ways to end, its end is all that is left to notice them."""

import atexit
import functools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from ..guard import never_raises

__all__ = ["ProcessEnd", "end_with_uvicorn"]

_MARK = "_dtx_ends"


class ProcessEnd:
    """Calls *end* when a process of a server ends by itself, though there may be none who tells of its end.

    Args:
        end: called by `atexit`, in a child of multiprocessing, or by uvicorn. It may be called more than once.
        start_anew: called in a forked child, to forget what is the parent's.
    """

    __slots__ = ("_end", "_is_watched", "_start_anew")

    def __init__(self, end: Callable[[], None], start_anew: Callable[[], None]) -> None:
        self._end = never_raises(end)
        self._start_anew = start_anew
        self._is_watched = False
        atexit.register(self._end)
        os.register_at_fork(after_in_child=self._after_fork)

    def watch(self) -> None:
        """Look for the ways to end that `atexit` does not see. It is told whenever something opens: they come with a server."""
        if not self._is_watched:
            self._is_watched = True
            # A child of multiprocessing runs no function of atexit, and forgets finalizers from before its fork.
            if multiprocessing.parent_process() is not None:
                Finalize = sys.modules["multiprocessing.util"].Finalize  # noqa: N806 - loaded in every such child, and slow to load elsewhere
                Finalize(None, self._end, exitpriority=100)
            end_with_uvicorn(self._end)

    def _after_fork(self) -> None:
        self._is_watched = False
        self._start_anew()


def end_with_uvicorn(end: Callable[[], object], *, last: bool = False) -> None:
    """Call *end* once uvicorn has served or cancelled its last request: then it raises the signal that stopped it.

    Args:
        end: what to call. Once, however often this is asked for it.
        last: after all others, whatever was asked for first.
    """
    server: Any = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    shutdown = getattr(server, "shutdown", None)
    if type(server).__module__.partition(".")[0] != "uvicorn" or shutdown is None:
        return
    ends: list[Callable[[], object]] | None = getattr(shutdown, _MARK, None)
    if ends is None:
        ends = []
        server.shutdown = _ending(shutdown, ends)
    if end not in ends:
        ends.insert(len(ends) if last else 0, end)


def _ending(shutdown: Callable[..., Any], ends: list[Callable[[], object]]) -> Callable[..., Any]:
    @functools.wraps(shutdown)
    async def shutdown_and_end(*args: Any, **kwargs: Any) -> None:
        try:
            await shutdown(*args, **kwargs)
        finally:
            for end in ends:
                end()

    setattr(shutdown_and_end, _MARK, ends)
    return shutdown_and_end
