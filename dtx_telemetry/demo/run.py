"""The run: everything is started, the click is made, the lines are looked at, everything is stopped."""

import math
import os
import secrets
import socket
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..viewer.show.waterfall import show_waterfall
from . import brokers, live, otlp, summary
from .browser import Browser
from .errors import DemoError, Stopped
from .guardian import Guardian
from .lines import Lines
from .picture import draw
from .printing import PrettyPrinter, RawPrinter
from .processes import Processes
from .story import USERNAME

__all__ = ["Options", "run"]

_DEADLINE = 60.0
_APP = "dtx_telemetry.demo.tournament"
# So that one sees how long the handling of the message took.
_LEVELS = {"socket": {"LOG_LEVELS": "dtx_telemetry.websocket=DEBUG"}}
# What of the environment the demo's processes do not see: it might change what they log.
_HIDDEN = ("CELERY_", "DJANGO_", "DTX_", "LOG_", "OTEL_", "TELEMETRY_", "UVICORN_")


@dataclass(frozen=True)
class Options:
    """The command line.

    Attributes:
        raw: print the lines as they came.
        broker: the URL of a broker that exists, ``None`` for one of the demo's own.
        serve: go on until stopped.
        show: open the pages then in the browser.
        otlp: the URL of a collector, or empty for a receiver of the demo's own. ``None``: OpenTelemetry stays off.
        picture: the file for a picture of the waterfall, as SVG.
    """

    raw: bool = False
    broker: str | None = None
    serve: bool = False
    show: bool = False
    otlp: str | None = None
    picture: str | None = None


@dataclass
class _Run:
    """What belongs to one run."""

    name: str
    options: Options
    lines: Lines
    processes: Processes
    folder: Path
    more: dict[str, str] = field(default_factory=dict)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    request_id: str = field(default_factory=lambda: f"click-{secrets.token_hex(8)}")
    deadline: float = field(default_factory=lambda: time.monotonic() + _DEADLINE)

    def say(self, text: str) -> None:
        """Say something besides the lines."""
        print(text, file=sys.stderr if self.options.raw else sys.stdout, flush=True)

    def wait_for(self, what: str, condition: Any) -> None:
        self.lines.expect(condition, what=what, deadline=self.deadline, check=self.processes.check)


def run(options: Options) -> int:
    """Run the demo and return its exit code.

    Raises:
        DemoError: it came to no result.
    """
    name = f"dtx-demo-{secrets.token_hex(4)}"
    lines = Lines(RawPrinter() if options.raw else PrettyPrinter(), shown=False)
    with ExitStack() as stack:
        guardian = stack.enter_context(Guardian())
        if options.broker is not None:
            stack.enter_context(brokers.borrowed(options.broker, name))
        processes = stack.enter_context(Processes(guardian.group, lines.take))
        receiver = stack.enter_context(otlp.Receiver()) if options.otlp == "" else None
        this = _Run(name, options, lines, processes, guardian.folder, more=_collector(options, receiver))
        ports = _start(this, options.broker)
        pushed = _click(this, ports)
        draft = f"http://127.0.0.1:{ports[0]}/"
        page = live.start_page(processes, lines, guardian.folder, this.deadline) if options.serve else ""
        if not options.serve:
            processes.stop()
        _sum_up(this, pushed)
        if receiver is not None:
            traced = [(line.process, line.fields) for line in lines.events]
            this.say(f"\n{otlp.tree(this.request_id, receiver.spans, traced)}")
        if options.serve:
            this.say(f"\n{draft} shows the draft ({USERNAME} may log in there)")
            this.say(f"{page} beside it shows each click as it is made; Ctrl-C ends it")
            if options.show:
                live.open_both(draft, page)
            _serve(this)
    return 1 if summary.missing(this.request_id, lines.events, pushed) else 0


def _collector(options: Options, receiver: otlp.Receiver | None) -> dict[str, str]:
    """Return the environment by which the processes send to a collector, empty if they do not."""
    url = receiver.url if receiver is not None else options.otlp
    return otlp.environ(url) if url else {}


def _sum_up(this: _Run, pushed: Any) -> None:
    """Show the click's life, and say whether all is there."""
    waterfall = summary.waterfall(this.request_id, this.lines.events)
    this.say("")
    show_waterfall(waterfall, stderr=this.options.raw)
    this.say(f"\n{summary.verdict(this.request_id, this.lines.events, pushed)}")
    if this.options.picture is not None:
        try:
            Path(this.options.picture).write_text(draw(waterfall), encoding="utf-8")
        except OSError as error:
            raise DemoError(f"{this.options.picture}: {error.strerror}") from error


def _start(this: _Run, broker: str | None) -> tuple[int, int]:
    """Start the processes, wait until they are ready, and return the ports of the web server and of that for WebSockets."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        web, sockets = (listener.getsockname()[1] for listener in listeners)
        environ = _environ(this, sockets)
        layer = broker if broker is not None and brokers.is_redis(broker) else _start_valkey(this, environ)
        environ |= {"DTX_DEMO_BROKER": broker or layer, "DTX_DEMO_LAYER": layer}
        quiet = {**environ, "TELEMETRY_ENABLED": "false"}
        database = this.processes.start("tables", "-m", f"{_APP}.database", environ=quiet, once=True)
        for name, listener in zip(("web", "socket"), listeners, strict=True):
            # The older implementation of WebSockets, uvicorn's former default, logs "connection open" outside any connection.
            server = ("-m", "uvicorn", f"{_APP}.asgi:application", "--fd", str(listener.fileno()), "--ws", "websockets-sansio")
            this.processes.start(name, *server, environ={**environ, **_LEVELS.get(name, {})}, listener=listener)
    worker = ("worker", "--pool", "prefork", "--concurrency", "2", "--without-gossip", "--without-mingle")
    this.processes.start("worker", "-m", "celery", "--quiet", "-A", _APP, *worker, environ=environ)
    this.wait_for("the database", lambda: database.done)
    this.wait_for("the worker", lambda: any(_says_ready(line.fields) for line in this.lines.events if line.process == "worker"))
    this.say("The web server, the server for WebSockets and the worker are ready.")
    return web, sockets


def _start_valkey(this: _Run, environ: dict[str, str]) -> str:
    url = brokers.start_valkey(this.processes, this.lines, this.folder, environ, this.deadline)
    this.say(f"Valkey listens at {url}")
    return url


def _environ(this: _Run, socket_port: int) -> dict[str, str]:
    own = {
        "DJANGO_SETTINGS_MODULE": f"{_APP}.settings",
        "DTX_DEMO_FOLDER": str(this.folder),
        "DTX_DEMO_PASSWORD": this.password,
        "DTX_DEMO_RUN": this.name,
        "DTX_DEMO_SECRET": secrets.token_urlsafe(32),
        "DTX_DEMO_SOCKET_PORT": str(socket_port),
        "LOG_FORMAT": "json",
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(this.folder),  # billiard leaves a folder there if it is killed
    }
    return {name: value for name, value in os.environ.items() if not name.startswith(_HIDDEN)} | own | this.more


def _says_ready(fields: dict[str, Any]) -> bool:
    return fields["logger"] == "celery.apps.worker" and str(fields["event"]).endswith(" ready.")


def _click(this: _Run, ports: tuple[int, int]) -> Any:
    """Click, wait until the lines are there, and return what was pushed to the browser."""
    browser = Browser(ports, this.deadline, this.processes.check)
    browser.log_in(this.password)
    with browser.watch() as connection:
        # The connection's own line, so that those of the click alone are shown.
        this.wait_for("the WebSocket", lambda: any(line.fields["event"] == "ws_connected" for line in this.lines.events))
        this.lines.shown = True
        browser.click(this.request_id)
        pushed = browser.receive(connection)
        this.lines.wait_for(
            lambda: summary.is_whole(this.request_id, this.lines.events),
            deadline=time.monotonic() + 10,
            check=this.processes.check,
        )
        this.lines.shown = this.options.serve
    return pushed


def _serve(this: _Run) -> None:
    """Go on until a signal says to stop.

    Raises:
        DemoError: a process ended before.
    """
    try:
        this.lines.wait_for(lambda: False, deadline=math.inf, check=this.processes.check)
    except Stopped:
        return
