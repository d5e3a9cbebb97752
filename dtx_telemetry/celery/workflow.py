"""The id of a workflow that nobody gave one: the same for all its tasks, read from what Celery itself says in each message."""

from collections.abc import Mapping
from typing import Any

from .. import context

__all__ = ["workflow_id"]

_MAX_NESTING = 32
_End = tuple[Any, Any]


def workflow_id(group: Any, chain: Any, chord: Any, root_id: Any) -> str:
    """Return the id of the outermost group that a task is published in, else its root task's; a new one if neither is usable.

    Args:
        group: the id of the task's own group.
        chain: the tasks after it, the last one first: of a chain that is in a group only the last task bears the group's id.
        chord: the body of the chord in whose header the task is. It is where the chord goes on, in a group for example.
        root_id: the id of the root task.
    """
    try:
        group = _outermost(group, chain, chord)
    except Exception:  # noqa: S110 - a message of somebody else's, not as Celery makes them
        pass
    return next((value for value in (group, root_id) if context.valid_request_id(value)), None) or context.new_request_id()


def _outermost(group: Any, chain: Any, chord: Any) -> Any:
    if chain:
        group, chord = _end(chain[0], 0)
    for _ in range(_MAX_NESTING):
        if not chord:
            break
        outer, chord = _end(chord, 0)
        group = outer or group
    return group


def _end(signature: Mapping[str, Any], depth: int) -> _End:
    """Return the group and the chord that the end of *signature* is part of: its last task's, or its body's."""
    options, kwargs = signature.get("options") or {}, signature.get("kwargs") or {}
    group, chord = options.get("group_id"), options.get("chord")
    kind = signature.get("subtask_type")
    last = kwargs.get("body") if kind == "chord" else kwargs["tasks"][-1] if kind in {"chain", "group"} else None
    if last and depth < _MAX_NESTING:
        inner_group, inner_chord = _end(last, depth + 1)
        return inner_group or group, inner_chord or chord
    return group, chord
