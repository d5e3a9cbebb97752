"""The summary: which lines bear the click's id, and whether all is there that should be."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from ..viewer.model.join import join
from ..viewer.model.layout import Waterfall, lay_out
from ..viewer.reading.line import Line as LogLine
from .lines import Line
from .story import FIELDS, PUSHED, STAGES, Stage

__all__ = ["is_whole", "missing", "verdict", "waterfall"]


def missing(request_id: str, events: Sequence[Line], pushed: Any) -> list[str]:
    """Return what should be there and is not, in words. Nothing if all is well."""
    lacks = [lack for stage in STAGES if (lack := _lack(stage, request_id, events))]
    if pushed != PUSHED:
        lacks.append("the pushed message did not arrive" if pushed is None else f"the pushed message was {pushed}")
    return lacks


def is_whole(request_id: str, events: Sequence[Line]) -> bool:
    """Whether the click is over, as far as lines tell."""
    closed = {line.fields["event"] for line in events if line.fields.get("request.id") == request_id}
    return {"request_completed", "task_completed", "ws_handled"} <= closed and not missing(request_id, events, PUSHED)


def waterfall(request_id: str, events: Sequence[Line]) -> Waterfall:
    """Return the life of the click."""
    return lay_out(join(LogLine(line.fields, b"") for line in _ours(request_id, events)))


def verdict(request_id: str, events: Sequence[Line], pushed: Any) -> str:
    """Return, as text, whether all is there."""
    ours = _ours(request_id, events)
    bearing = len({line.process for line in ours})
    lacks = [f"MISSING: {lack}" for lack in missing(request_id, events, pushed)]
    everywhere = " ".join(f"{key}={value}" for key, value in FIELDS.items())
    return "\n".join(
        [f"{len(ours)} lines of {bearing} processes have this request.id"]
        + (lacks or [f"with {everywhere}", f"The task's message arrived in the browser: {json.dumps(pushed)}"])
    )


def _ours(request_id: str, events: Iterable[Line]) -> list[Line]:
    return [line for line in events if line.fields.get("request.id") == request_id]


def _lack(stage: Stage, request_id: str, events: Iterable[Line]) -> str | None:
    lines = [line.fields for line in events if line.process == stage.process and line.fields["event"] == stage.event]
    if not lines:
        return f"{stage.who} did not log {stage.event}"
    ours = [fields for fields in lines if fields.get("request.id") == request_id]
    if not ours:
        return f"{stage.who} logged {stage.event} without the id of the click"
    wrong = [key for key, value in FIELDS.items() if ours[0].get(key) != value]
    return f"{stage.who} logged {stage.event} without the right {', '.join(wrong)}" if wrong else None
