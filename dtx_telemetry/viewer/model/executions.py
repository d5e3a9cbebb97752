"""The executions of one task: its attempts, and what was started again after it was lost."""

from collections.abc import Iterable

from ..reading.line import Line
from .carving import carve
from .events import CLOSINGS
from .scope import Scope

__all__ = ["split_task"]


def split_task(lines: Iterable[Line]) -> tuple[list[Scope], list[Scope]]:
    """Return the executions in the order of their start, and the commands that ran in one of them.

    Args:
        lines: of one task, in order of time.
    """
    commands, own = carve(list(lines), lambda line: CLOSINGS[line.event].kind == "command")
    executions: list[Scope] = []
    for line in own:
        _put(executions, line)
    for command in commands:
        owner = _owner(executions, command.lines[0])
        command.parent = owner
    return executions, commands


def _put(executions: list[Scope], line: Line) -> None:
    event, attempt = line.own_event, line.number("task.retries")
    closes = event in CLOSINGS and CLOSINGS[event].kind == "task"
    number = None if attempt is None else int(attempt)
    owner = None if event == "task_started" else _closed_by(executions, number) if closes else _owner(executions, line)
    if owner is None:
        executions.append(Scope("task", [line], line if closes else None, number))
    elif closes:
        owner.close(line)
    else:
        owner.add(line)


def _closed_by(executions: list[Scope], attempt: int | None) -> Scope | None:
    """Return the execution that a closing event ends: where it says which attempt, that one, else the last that runs.

    A retry may start before the attempt that asked for it has ended.
    """
    running = [execution for execution in executions if execution.closing is None]
    fitting = [execution for execution in running if attempt is None or execution.attempt in (attempt, None)]
    return fitting[-1] if fitting else None


def _owner(executions: list[Scope], line: Line) -> Scope | None:
    begun = [execution for execution in executions if execution.closing is None]
    return begun[-1] if begun else executions[-1] if executions else None
