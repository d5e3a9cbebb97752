"""Lines as a production system writes them: clicks of the demo's kind, plain requests, retries and failures."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

__all__ = ["click", "write_lines"]

Line = dict[str, Any]
_HEROES = ("Invoker", "Sand King", "Axe", "Juggernaut", "Crystal Maiden")
_TRACEBACK = """Traceback (most recent call last):
  File "/app/venv/lib/python3.13/site-packages/celery/app/trace.py", line 453, in trace_task
    R = retval = fun(*args, **kwargs)
  File "/app/tournament/tasks.py", line {line}, in announce_pick
    raise {error}
{error}"""
_ERRORS = ("ConnectionError: the bracket service does not answer", "ValueError: no such hero", "TimeoutError: 5 seconds")
_BEGIN = datetime(2026, 1, 15, 8, tzinfo=UTC)
#: How many different clicks are made; their ids are new in each repetition.
_DIFFERENT = 2000
_MARK = "0123456789abcdef"


def write_lines(path: Path, size: int) -> str:
    """Write about *size* bytes of lines to *path*; return the ``request.id`` of a click in their middle."""
    chance = random.Random(13)
    parts = [
        "".join(f"{json.dumps(line, separators=(',', ':'))}\n" for line in click(number, chance))
        for number in range(_DIFFERENT)
    ]
    total = sum(map(len, parts))
    repetitions = max(round(size / total), 1)
    wanted = ""
    with path.open("w", encoding="ascii") as file:
        for repetition in range(repetitions):
            for number, part in enumerate(parts):
                mark = f"{chance.getrandbits(64):016x}"
                if not wanted or (repetition, number) == (repetitions // 2, _DIFFERENT // 2):
                    wanted = f"{number:08x}{mark}{0:08x}"
                file.write(part.replace(_MARK, mark))
    return wanted


def _text(line: Line) -> str:
    return json.dumps(line, separators=(",", ":")) + "\n"


def click(number: int, chance: random.Random) -> Iterator[Line]:
    """Return the lines of one click: of five, one publishes a task, which of twenty retries once, and of fifty fails."""
    begin = _BEGIN + timedelta(milliseconds=10 * number)
    ids = {"request.id": f"{number:08x}{_MARK}{0:08x}", "user.id": chance.randrange(1, 5000), "labels": ["tournament", "draft"]}
    ids["scope.id"] = f"{4 * number:08x}"
    resources = {"tournament.id": chance.randrange(1, 900), "draft.id": chance.randrange(1, 9000)}
    path = f"/api/tournaments/{resources['tournament.id']}/draft/{resources['draft.id']}/"
    took = round(chance.lognormvariate(3, 0.7), 2)

    def line(after: float, level: str, logger: str, event: str, **fields: Any) -> Line:
        time = (begin + timedelta(milliseconds=after)).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return {"timestamp": time, "level": level, "logger": logger, "event": event, **fields}

    publishes = number % 5 == 0
    method = "POST" if publishes else "GET"
    end = {"http.method": method, "http.route": path, "http.status_code": 202 if publishes else 200, "duration_ms": took}
    if publishes:
        yield line(took / 3, "info", "tournament.views", "draft_pick_made", hero=chance.choice(_HEROES), **ids, **resources)
        task = {
            "task.id": f"{number:08x}-4c1f-4d2a-9b3e-{_MARK[:4]}{number:08x}",
            "task.name": "tournament.tasks.announce_pick",
        }
        yield line(
            took / 2, "info", "dtx_telemetry.celery", "task_published", **task, **{"task.queue": "celery"}, **ids, **resources
        )
        yield line(took, "info", "dtx_telemetry.http", "request_completed", **end, **ids, **resources)
        yield from _task(number, took, chance, line, {**ids, **task, **resources})
    else:
        yield line(took / 2, "info", "tournament.views", "draft_seen", **ids, **resources)
        yield line(took, "info", "dtx_telemetry.http", "request_completed", **end, **ids, **resources)


def _task(number: int, after: float, chance: random.Random, line: Any, bound: Line) -> Iterator[Line]:
    logger = "dtx_telemetry.celery"
    took = round(chance.lognormvariate(4, 0.8), 2)
    request = bound["scope.id"]
    for attempt in range(2 if number % 100 == 0 else 1):
        bound = {**bound, "scope.id": f"{4 * number + 1 + attempt:08x}", "scope.cause": request}
        started = {"task.retries": attempt, "task.queue": "celery", "task.queue_ms": round(chance.expovariate(0.1), 2)}
        yield line(after + 5, "info", logger, "task_started", **started, **bound)
        if number % 100 == 0 and attempt == 0:
            said = {"error": _ERRORS[0], "task.retries": 0, "duration_ms": took}
            yield line(after + took, "warning", logger, "task_retried", **said, **bound)
            after += took
    yield line(after + 6, "info", "tournament.tasks", "draft_pick_announced", hero=chance.choice(_HEROES), role="mid", **bound)
    if number % 250 == 0:
        error = chance.choice(_ERRORS)
        said = {"duration_ms": took, "error": error, "exception": _TRACEBACK.format(line=number % 40, error=error)}
        yield line(after + took, "error", logger, "task_failed", **said, **bound)
        return
    shown = {key: value for key, value in bound.items() if not key.startswith("task.")}
    shown |= {"scope.id": f"{4 * number + 3:08x}", "scope.cause": bound["scope.id"]}
    yield line(after + 7, "info", "tournament.consumers", "draft_pick_shown", **shown, **{"ws.conn_id": f"{number:032x}"})
    yield line(after + took, "info", logger, "task_completed", duration_ms=took, **bound)
