"""Running elsewhere: a function in a thread, a coroutine in another context (PEP 567)."""

import functools
import types
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any, ParamSpec, TypeVar

__all__ = ["carry_context", "run_in"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


def carry_context(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return *function* bound to the current context, for a thread of a pool to call: ``pool.submit(carry_context(work), 1)``.

    May be called any number of times, also at the same time: each call runs in a copy of its own.

    Args:
        function: what the thread calls. Its arguments and its result stay what they are.

    .. versionadded:: 0.1.0
    """
    context = copy_context()

    @functools.wraps(function)
    def carried(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        return context.copy().run(function, *args, **kwargs)

    return carried


@types.coroutine
def run_in(context: Context, coroutine: Coroutine[Any, Any, _R]) -> Generator[Any, Any, _R]:
    """Await *coroutine* in *context*: each of its steps runs there, in the same task.

    Args:
        context: may not be entered by anything else while a step runs.
        coroutine: what is awaited.
    """
    step: Callable[[Any], Any] = coroutine.send
    value: Any = None
    while True:
        try:
            waits_for = context.run(step, value)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        finally:
            value = None  # the traceback of an exception would hold this frame, which holds the exception
        try:
            value = yield waits_for
            step = coroutine.send
        except BaseException as error:
            step, value = coroutine.throw, error
