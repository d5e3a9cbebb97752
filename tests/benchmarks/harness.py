"""Measuring things side by side.

Each subject has processes of its own, so that one's set-up of logging or Django is not the other's. They take turns within one
run, so that a busy machine slows all of them alike; what counts is the median of the processor's time that they used, in all
their threads, since on a busy machine the time on the wall is mostly other people's. A ratio is the median of each round's.
"""

import importlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["Comparison", "Subject", "compare", "times"]

ROOT = Path(__file__).parents[2]
Costs = Mapping[str, float]
Ratio = Callable[[Costs], float]
Clock = Callable[[], float]
#: About how long one turn takes, in seconds.
TURN = 0.02
#: Calls before the first that counts, and seconds after which there are no more of them.
WARM_UP = 300
WARM_UP_SECONDS = 5.0
#: Processes of each subject: where things happen to lie in memory makes one faster than its twin.
PROCESSES = 3


@dataclass(frozen=True)
class Subject:
    """Something to measure.

    Attributes:
        name: what the table calls it.
        maker: ``module:function``; the function, called once in the subject's process, returns what is measured.
        args: what the function is given.
        clock: the function of `time` that measures it: for what waits, ``perf_counter``.
    """

    name: str
    maker: str
    args: tuple[str, ...] = ()
    clock: str = "process_time"


@dataclass(frozen=True)
class Comparison:
    """One table of results: microseconds for one call, by subject, and ratios by what they are of."""

    title: str
    costs: Costs
    ratios: Costs = field(default_factory=dict)

    def __str__(self) -> str:
        width = max(map(len, [*self.costs, *self.ratios]))
        costs = [f"{name:<{width}}  {cost:10.2f} us" for name, cost in self.costs.items()]
        ratios = [f"{name:<{width}}  {ratio:10.2f}" for name, ratio in self.ratios.items()]
        return "\n".join([self.title, "-" * len(self.title), *costs, *ratios, ""])

    def as_json(self) -> dict[str, Any]:
        rounded = {name: round(cost, 3) for name, cost in self.costs.items()}
        return {"title": self.title, "us": rounded, "ratios": {name: round(ratio, 3) for name, ratio in self.ratios.items()}}


def times(name: str, base: str) -> Ratio:
    """Return what says how many times the cost of *base* the cost of *name* is."""
    return lambda costs: costs[name] / costs[base]


def compare(
    title: str, subjects: Iterable[Subject], ratios: Mapping[str, Ratio] | None = None, *, rounds: int = 25
) -> Comparison:
    """Measure *subjects* in turns.

    Args:
        title: of the table.
        subjects: what to measure.
        ratios: what to make of the costs, by name; by default, how many times each other one's cost the first one's is.
        rounds: how many turns each has.
    """
    subjects = list(subjects)
    if ratios is None:
        first, *others = [subject.name for subject in subjects]
        ratios = {f"{first} to {other}": times(first, other) for other in others}
    with ExitStack() as stack:
        processes = {
            subject.name: [stack.enter_context(_Process(subject)) for _ in range(min(PROCESSES, rounds))]
            for subject in subjects
        }
        turns: dict[str, list[float]] = {name: [] for name in processes}
        for turn in range(rounds):
            for name in list(processes) if turn % 2 else reversed(processes):
                turns[name].append(processes[name][turn % len(processes[name])].turn())
    costs = {name: statistics.median(costs) for name, costs in turns.items()}
    # Within one round the machine is the same for all, which over a run it need not be.
    each = [dict(zip(turns, costs, strict=True)) for costs in zip(*turns.values(), strict=True)]
    return Comparison(title, costs, {name: statistics.median(map(ratio, each)) for name, ratio in ratios.items()})


class _Process:
    """A subject's process: at each line that it reads it measures one turn, and answers with the cost."""

    def __init__(self, subject: Subject) -> None:
        args = [sys.executable, "-m", __name__, subject.clock, subject.maker, *subject.args]
        self._process = subprocess.Popen(args, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._process.__exit__(kind, error, tb)

    def turn(self) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the subject {self._process.args!r} ended")
        return float(answer)


def _serve(clock: str, maker: str, *args: str) -> None:
    """Be a subject's process. Whatever it prints goes to the null device."""
    _share_one_processor()
    answers = os.fdopen(os.dup(1), "w")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    module, _, function = maker.partition(":")
    work = getattr(importlib.import_module(module), function)(*args)
    now: Clock = getattr(time, clock)
    _warm_up(work)
    count = _count_for(work, now)
    for _ in sys.stdin:
        print(_time(work, count, now) / count * 1e6, file=answers, flush=True)


def _share_one_processor() -> None:
    """Run where all the others do: one processor may have a busy neighbour, and another none."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _warm_up(work: Callable[[], object]) -> None:
    """Call *work* until everything is imported, connected and compiled that a first call needs."""
    end = time.monotonic() + WARM_UP_SECONDS
    for _ in range(WARM_UP):
        work()
        if time.monotonic() > end:
            return


def _count_for(work: Callable[[], object], now: Clock) -> int:
    """Return how many calls make a turn."""
    count = 1
    while (spent := _time(work, count, now)) < TURN / 4:
        count *= 4
    return max(1, int(count * TURN / spent))


def _time(work: Callable[[], object], count: int, now: Clock) -> float:
    start = now()
    for _ in range(count):
        work()
    return now() - start


if __name__ == "__main__":
    _serve(*sys.argv[1:])
