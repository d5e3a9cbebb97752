"""Waiting for a condition, with a deadline in place of a fixed sleep."""

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["wait_until"]

_R = TypeVar("_R")


def wait_until(condition: Callable[[], _R], *, deadline: float = 180, what: str = "the condition") -> _R:
    """Return what *condition* gives once that is true.

    Raises:
        AssertionError: it was not within *deadline* seconds.
    """
    end = time.monotonic() + deadline
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come within {deadline} seconds")
        time.sleep(0.01)
    return value
