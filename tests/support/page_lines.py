"""Lines as the library prints them, made now, for what follows a file."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

__all__ = ["LogFile", "click", "line", "request"]

_PLAIN = ("duration_ms", "trace_id")


def line(
    event: str, request_id: str, *, ago: float = 0, logger: str = "dtx_telemetry.http", level: str = "info", **fields: Any
) -> bytes:
    """Return a line that was logged *ago* milliseconds before now; ``user_id`` stands for ``user.id``."""
    time = (datetime.now(UTC) - timedelta(milliseconds=ago)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    own = {name if "." in name or name in _PLAIN else name.replace("_", ".", 1): value for name, value in fields.items()}
    said = {"timestamp": time, "level": level, "logger": logger, "event": event, **own, "request.id": request_id}
    return json.dumps(said).encode() + b"\n"


def request(request_id: str, path: str = "/api/teams/5/", status: int = 200, **fields: Any) -> bytes:
    """Return the closing event of a request."""
    level = "error" if status >= 500 else "warning" if status >= 400 else "info"
    http = {"http.method": "GET", "http.route": path, "http.status_code": status, "duration_ms": 12.5}
    return line("request_completed", request_id, level=level, **{"user_id": 42, "labels": ["team"], **fields, **http})


def click(request_id: str, *, ago: float = 200) -> list[bytes]:
    """Return a request, the task that it published, and the message that the task sent, as a click of the demo has them."""
    context = {"user_id": 42, "labels": ["tournament", "draft"]}
    task = {"task_id": f"task-of-{request_id}", "task_name": "tournament.tasks.announce_pick", **context}
    http = {"http.method": "POST", "http.route": "/api/tournaments/5/draft/12/", "http.status_code": 202}
    return [
        line("draft_pick_made", request_id, ago=ago, logger="tournament.views", hero="Invoker", **context),
        line("task_published", request_id, ago=ago - 5, logger="dtx_telemetry.celery", **task),
        line("request_completed", request_id, ago=ago - 10, duration_ms=30, **http, **context),
        line(
            "task_started",
            request_id,
            ago=ago - 30,
            logger="dtx_telemetry.celery",
            **task,
            **{"task.retries": 0, "task.queue_ms": 25.0},
        ),
        line("draft_pick_announced", request_id, ago=ago - 40, logger="tournament.tasks", role="mid", **task),
        line("draft_pick_shown", request_id, ago=ago - 60, logger="tournament.consumers", ws_conn_id="socket", **context),
        line("task_completed", request_id, ago=ago - 80, logger="dtx_telemetry.celery", duration_ms=50, **task),
    ]


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
