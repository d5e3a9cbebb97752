"""Which lines a command is asked for, and what it says about those that it did not read."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import orjson

from ..rendering.terminal import escape_in_json, printable
from .reading.filters import Filters
from .reading.inputs import Input, open_inputs, watched
from .reading.line import Line, Once, to_json
from .reading.search import find_lines
from .reading.unwrap import Unwrapper

__all__ = ["FOUND", "NOTHING_FOUND", "OTHERS", "WRONG_USAGE", "Query", "Reading", "say", "write_json"]

#: Exit codes.
FOUND, NOTHING_FOUND, WRONG_USAGE = 0, 1, 2
#: What is said of lines that a command can make nothing of, though they may be good ones of other libraries.
OTHERS = "; lines of other libraries are shown by pretty, errors and trace"


@dataclass(frozen=True)
class Query:
    """Files and filters.

    Attributes:
        files: names and patterns. Empty for standard input.
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

    @contextmanager
    def reading(self) -> Iterator["Reading"]:
        """Open the files for the block, to read lines from."""
        with self.inputs() as inputs:
            yield Reading(inputs, self.filters)


class Reading:
    """One pass over inputs.

    Attributes:
        inputs: what is read.
        unwrapper: counts what was read.
        left_out: how many lines the filters left out.
    """

    def __init__(self, inputs: Sequence[Input], filters: Filters) -> None:
        self.inputs = inputs
        self.unwrapper = Unwrapper()
        self.left_out = 0
        self._filters = filters

    def lines(self, texts: Sequence[bytes] = (), *, filtered: bool = True) -> Iterator[Line]:
        """Return the lines that may have one of *texts* in them, each once.

        Args:
            texts: see `find_lines`. Empty for all lines.
            filtered: leave out those that the filters do not want.
        """
        once, is_filtered = Once(), filtered and self._filters.any
        for read, pieces in watched(self.inputs):
            for found in find_lines(pieces, texts, self.unwrapper, thorough=True):
                lines = once(found)
                if read.source:
                    for line in lines:
                        line.source = read.source
                if is_filtered:
                    wanted = [*filter(self._filters.match, lines)]
                    self.left_out += len(lines) - len(wanted)
                    lines = wanted
                yield from lines

    def end(self, *, found: bool, nothing: str) -> int:
        """Say what was passed over and, unless something was *found*, say that, and return the exit code.

        Args:
            found: whether there is a result.
            nothing: what to say if there is none. ``{lines}`` stands for how many lines were read.
        """
        unwrapper = self.unwrapper
        problems = any(read.problem is not None for read in self.inputs)
        counted = _counted(unwrapper.lines)
        if not found and 0 < unwrapper.lines == unwrapper.foreign:
            say(f"nothing could be read of {counted}: {unwrapper.reason}")
            return WRONG_USAGE
        if unwrapper.foreign:
            say(f"{unwrapper.foreign} of {counted} passed over: {unwrapper.reason}")
        if not found and not problems:
            filters = self._filters.text
            but = f", apart from {self.left_out} that {filters} left out" if self.left_out else ""
            taken = f"; taken for a filter, since there is no such file: {filters}" if filters else ""
            say(nothing.format(lines=counted) + but if unwrapper.lines else f"there are no lines{taken}")
        return WRONG_USAGE if problems else FOUND if found else NOTHING_FOUND


def _counted(lines: int) -> str:
    return f"{lines} line{'' if lines == 1 else 's'}"


def say(text: str) -> None:
    """Say something about the run, where it does not get into the result."""
    sys.stdout.flush()
    sys.stderr.write(f"dtx-telemetry: {printable(text)}\n")


def write_json(results: object) -> None:
    """Print *results* for programs."""
    text = to_json(results, orjson.OPT_INDENT_2).decode()
    sys.stdout.buffer.write(escape_in_json(text).encode() + b"\n")
