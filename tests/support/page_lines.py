"""Lines as the library prints them, made now, for what follows a file."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

__all__ = ["LogFile", "click", "deep", "line", "queries", "request"]

_PLAIN = ("duration_ms", "trace_id")


def line(
    event: str,
    request_id: str,
    *,
    now: datetime | None = None,
    ago: float = 0,
    logger: str = "dtx_telemetry.http",
    level: str = "info",
    **fields: Any,
) -> bytes:
    """Return a line that was logged *ago* milliseconds before *now*; ``user_id`` stands for ``user.id``."""
    logged = (now or datetime.now(UTC)) - timedelta(milliseconds=ago)
    time = logged.isoformat(timespec="microseconds").replace("+00:00", "Z")
    own = {name if "." in name or name in _PLAIN else name.replace("_", ".", 1): value for name, value in fields.items()}
    said = {"timestamp": time, "level": level, "logger": logger, "event": event, **own, "request.id": request_id}
    return json.dumps(said).encode() + b"\n"


def request(request_id: str, path: str = "/api/teams/5/", status: int = 200, **fields: Any) -> bytes:
    """Return the closing event of a request."""
    level = "error" if status >= 500 else "warning" if status >= 400 else "info"
    http = {"http.method": "GET", "http.route": path, "http.status_code": status, "duration_ms": 12.5}
    return line("request_completed", request_id, level=level, **{"user_id": 42, "labels": ["team"], **fields, **http})


def _same_now() -> partial[bytes]:
    """Return `line` for lines of one story: on a busy machine, the now of each would be another."""
    return partial(line, now=datetime.now(UTC))


def click(request_id: str, *, ago: float = 200) -> list[bytes]:
    """Return a request, the task that it published, and the message that the task sent, as a click of the demo has them."""
    said = _same_now()
    common = {"user_id": 42, "labels": ["tournament", "draft"]}
    web, worker, socket = (
        {**common, "scope.id": "aaaaaaaa"},
        {**common, "scope.id": "bbbbbbbb", "scope.cause": "aaaaaaaa"},
        {**common, "scope.id": "cccccccc", "scope.cause": "bbbbbbbb", "ws_conn_id": f"socket-of-{request_id}"},
    )
    task = {"task_id": f"task-of-{request_id}", "task_name": "tournament.tasks.announce_pick"}
    celery = {"logger": "dtx_telemetry.celery", **worker, **task}
    http = {"http.method": "POST", "http.route": "/api/tournaments/5/draft/12/", "http.status_code": 202}
    return [
        said("draft_pick_made", request_id, ago=ago, logger="tournament.views", hero="Invoker", **web),
        said("task_published", request_id, ago=ago - 5, logger="dtx_telemetry.celery", **web, **task),
        said("request_completed", request_id, ago=ago - 10, duration_ms=30, **http, **web),
        said("task_started", request_id, ago=ago - 30, **celery, **{"task.retries": 0, "task.queue_ms": 25.0}),
        said("draft_pick_announced", request_id, ago=ago - 40, logger="tournament.tasks", role="mid", **worker, **task),
        said("draft_pick_shown", request_id, ago=ago - 60, logger="tournament.consumers", **socket),
        said("task_completed", request_id, ago=ago - 80, duration_ms=50, **celery),
    ]


def deep(request_id: str, count: int) -> list[bytes]:
    """Return a request, and tasks each of which published the next: so many scopes, each inside the one before it."""
    said = _same_now()
    lines = []
    for number in range(count):
        ids = {"scope.id": f"{number:08x}", "user_id": 42, "labels": ["team"]}
        if number:
            ids |= {"scope.cause": f"{number - 1:08x}", "task_id": f"task-{number}", "task_name": f"teams.tasks.step_{number}"}
        begin = 6000 - 10 * number
        next_task = {"task_id": f"task-{number + 1}", "task_name": f"teams.tasks.step_{number + 1}"}
        if number:
            celery = {"logger": "dtx_telemetry.celery", **ids}
            lines.append(said("task_started", request_id, ago=begin, **celery, **{"task.retries": 0}))
            lines.append(said("turn", request_id, ago=begin - 2, logger="teams.tasks", **ids))
        if number < count - 1:
            published = {**ids, **next_task}
            lines.append(said("task_published", request_id, ago=begin - 4, logger="dtx_telemetry.celery", **published))
        if number:
            lines.append(said("task_completed", request_id, ago=begin - 8, duration_ms=8, **celery))
        else:
            http = {"http.method": "POST", "http.route": "/api/teams/5/", "http.status_code": 202}
            lines.append(said("request_completed", request_id, ago=begin - 8, duration_ms=8, **http, **ids))
    return lines


def queries(request_id: str) -> list[bytes]:
    """Return a request that took 100 ms and asked the database twelve times, ten times the same."""
    said = _same_now()
    ids = {"scope.id": "0000000a", "user_id": 42, "labels": ["team"]}
    lines = []
    for number in range(12):
        statement = {"db.query.text": "SELECT hero WHERE id = ?" if number % 6 else "SELECT team", "db.alias": "default"}
        took = 1 if number % 6 else 7
        database = {"logger": "dtx_telemetry.database", "level": "debug", **statement, **ids}
        lines.append(said("db_queried", request_id, ago=85 - 7 * number, duration_ms=took, **database))
    http = {"http.method": "GET", "http.route": "/api/teams/5/", "http.status_code": 200}
    database = {
        "db.query_count": 12,
        "db.duration_ms": 84.0,
        "db.repeat_count": 10,
        "db.repeated_query": "SELECT hero WHERE id = ?",
    }
    lines.append(said("request_completed", request_id, ago=0, duration_ms=100, **http, **database, **ids))
    return lines


class LogFile:
    """A file that a process logs into, by what it opened once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)

    def write(self, *lines: bytes) -> None:
        self._file.write(b"".join(lines))

    def rotate(self) -> "LogFile":
        """Move the file away as logrotate does, and return the new one."""
        self.path.rename(f"{self.path}.1")
        return LogFile(self.path)

    def truncate(self) -> None:
        self._file.truncate(0)

    def close(self) -> None:
        self._file.close()
