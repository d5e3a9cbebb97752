"""What every command is asked: which lines."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from .reading.filters import Filters
from .reading.inputs import Input, open_inputs
from .reading.unwrap import Unwrapper

__all__ = ["FOUND", "NOTHING_FOUND", "WRONG_USAGE", "Query", "code", "say", "say_foreign"]

#: Exit codes.
FOUND, NOTHING_FOUND, WRONG_USAGE = 0, 1, 2


@dataclass(frozen=True)
class Query:
    """Files and filters.

    Attributes:
        files: names and patterns; none for standard input.
        filters: what lines have to be.
    """

    files: Sequence[str] = ()
    filters: Filters = field(default_factory=Filters)

    @contextmanager
    def inputs(self) -> Iterator[list[Input]]:
        """Open the files for the block, and say after it which could not be read to their end.

        Raises:
            UsageError: one cannot be opened.
        """
        inputs = open_inputs(self.files)
        try:
            yield inputs
        finally:
            for found in inputs:
                found.close()
        for found in inputs:
            if found.problem is not None:
                say(found.problem)


def code(inputs: Sequence[Input], *, found: bool) -> int:
    """Return the exit code."""
    if any(read.problem is not None for read in inputs):
        return WRONG_USAGE
    return FOUND if found else NOTHING_FOUND


def say(text: str) -> None:
    """Say something about the run, where it does not get into the result."""
    sys.stdout.flush()
    sys.stderr.write(f"dtx-telemetry: {text}\n")


def say_foreign(unwrapper: Unwrapper) -> None:
    """Say how many lines were passed over."""
    if unwrapper.foreign:
        say(f"{unwrapper.foreign} of {unwrapper.lines} lines passed over: cut, broken or not in this format")
