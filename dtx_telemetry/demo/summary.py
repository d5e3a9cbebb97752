"""The summary: which lines bear the click's id, and whether all is there that should be."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from .lines import Line
from .story import FIELDS, PUSHED, STAGES, Stage

__all__ = ["is_whole", "missing", "render"]

_NAMED = frozenset({"timestamp", "level", "logger", "event", "request.id", *FIELDS})


def missing(request_id: str, events: Sequence[Line], pushed: Any) -> list[str]:
    """Return what should be there and is not, in words; nothing if all is well."""
    lacks = [lack for stage in STAGES if (lack := _lack(stage, request_id, events))]
    if pushed != PUSHED:
        lacks.append("the pushed message did not arrive" if pushed is None else f"the pushed message was {pushed}")
    return lacks


def is_whole(request_id: str, events: Sequence[Line]) -> bool:
    """Whether the click is over, as far as lines tell."""
    closed = {line.fields["event"] for line in events if line.fields.get("request.id") == request_id}
    return {"request_completed", "task_completed"} <= closed and not missing(request_id, events, PUSHED)


def render(request_id: str, events: Sequence[Line], pushed: Any) -> str:
    """Return the summary as text."""
    ours = [line for line in events if line.fields.get("request.id") == request_id]
    bearing = len({line.process for line in ours})
    parts = [f"request.id {request_id} stands on {len(ours)} lines of {bearing} processes:"]
    for stage in STAGES:
        lines = [line.fields for line in ours if line.process == stage.process]
        parts += ["", f"  {_heading(stage, lines)}", *(f"    {text}" for text in _in_order(stage, lines))]
    lacks = missing(request_id, events, pushed)
    return "\n".join([*parts, "", *([f"MISSING: {lack}" for lack in lacks] or _well(pushed))])


def _lack(stage: Stage, request_id: str, events: Iterable[Line]) -> str | None:
    lines = [line.fields for line in events if line.process == stage.process and line.fields["event"] == stage.event]
    if not lines:
        return f"{stage.who} did not log {stage.event}"
    ours = [fields for fields in lines if fields.get("request.id") == request_id]
    if not ours:
        return f"{stage.who} logged {stage.event} without the id of the click"
    wrong = [key for key, value in FIELDS.items() if ours[0].get(key) != value]
    return f"{stage.who} logged {stage.event} without the right {', '.join(wrong)}" if wrong else None


def _heading(stage: Stage, lines: Sequence[dict[str, Any]]) -> str:
    """Return the name of the process, and what only lines in it have in common."""
    last = lines[-1] if lines else {}
    return " ".join([f"{stage.process:<6}", *(f"{key}={last[key]}" for key in stage.scope if key in last)]).rstrip()


def _in_order(stage: Stage, lines: Iterable[dict[str, Any]]) -> list[str]:
    """Return each line in short, in order of time."""
    texts = []
    for fields in sorted(lines, key=lambda fields: str(fields["timestamp"])):
        named = _NAMED.union(stage.scope)
        own = [f"{key}={value}" for key, value in fields.items() if key not in named and not isinstance(value, dict)]
        clock = datetime.fromisoformat(fields["timestamp"]).astimezone()
        texts.append(" ".join([f"{clock:%H:%M:%S.%f}", f"{fields['event']:<20}", *own]).rstrip())
    return texts or ["(none)"]


def _well(pushed: Any) -> list[str]:
    everywhere = " ".join(f"{key}={value}" for key, value in FIELDS.items())
    return [
        f"The view, the task and the consumer logged it with {everywhere}",
        f"The task's message arrived in the browser: {json.dumps(pushed)}",
    ]
