"""Reading what was logged: JSON lines, strictly, and finding the ones that a test is about."""

import json
from collections.abc import Iterable
from typing import Any

__all__ = ["Line", "one_event", "parse_line", "parse_lines", "with_event", "with_fields"]

Line = dict[str, Any]


def parse_line(text: str) -> Line:
    """Return the object that *text* is.

    Raises:
        ValueError: it is not exactly one JSON object as RFC 8259 has it: ``NaN`` and a key that comes twice are refused.
    """
    line = json.loads(text, parse_constant=_refuse, object_pairs_hook=_object)
    if not isinstance(line, dict):
        raise ValueError(f"not a JSON object: {text!r}")
    return line


def parse_lines(text: str) -> list[Line]:
    """Return the objects of *text*, one a line.

    Raises:
        ValueError: a line is not one JSON object.
    """
    return [parse_line(line) for line in text.splitlines()]


def with_event(lines: Iterable[Line], event: str, **fields: Any) -> list[Line]:
    """Return the *lines* of that event; ``task_id="x"`` also asks for the field ``task.id`` or ``task_id``."""
    return [line for line in with_fields(lines, **fields) if line.get("event") == event]


def with_fields(lines: Iterable[Line], **fields: Any) -> list[Line]:
    """Return the *lines* with these fields; an underscore stands for a point where there is no field of just that name."""
    return [line for line in lines if all(_field(line, name) == value for name, value in fields.items())]


def one_event(lines: Iterable[Line], event: str, **fields: Any) -> Line:
    """Return the only line of that event; fails, showing all lines, where there is none or more than one."""
    lines = list(lines)
    found = with_event(lines, event, **fields)
    assert len(found) == 1, f"{len(found)} lines of {event} {fields or ''} among\n" + "\n".join(map(repr, lines))
    return found[0]


def _field(line: Line, name: str) -> Any:
    if name in line:
        return line[name]
    return next((value for key, value in line.items() if key.replace(".", "_") == name), None)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> Line:
    line = dict(pairs)
    if len(line) != len(pairs):
        raise ValueError(f"a key comes twice: {[key for key, _ in pairs]}")
    return line
