"""Carrying the context into threads."""

import functools
from collections.abc import Callable
from contextvars import copy_context
from typing import ParamSpec, TypeVar

__all__ = ["carry_context"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


def carry_context(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return *function* bound to the context of now, for a thread of a pool to call: ``pool.submit(carry_context(work), 1)``.

    May be called any number of times, also at the same time: each call runs in a copy of its own.

    Args:
        function: what the thread calls; its arguments and its result stay what they are.

    .. versionadded:: 0.1.0
    """
    context = copy_context()

    @functools.wraps(function)
    def carried(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        return context.copy().run(function, *args, **kwargs)

    return carried
