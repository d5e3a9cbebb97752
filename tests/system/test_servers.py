"""Every server, for real: under load, fed with rubbish, left by its clients, stopped."""

import http.client
import json
import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.database import Database
from tests.support.lines import Line
from tests.support.processes import STOPPED_EARLY, Process, Processes

REQUESTS, AT_ONCE = 500, 20
URLS = json.dumps({"ROOT_URLCONF": "tests.project.http_urls", "USE_TZ": True})

START: dict[str, Callable[[Processes], Process]] = {
    "uvicorn": lambda processes: processes.uvicorn(),
    "daphne": lambda processes: processes.daphne("-v", "0"),
    "gunicorn sync": lambda processes: processes.gunicorn(),
    "gunicorn gthread": lambda processes: processes.gunicorn("-k", "gthread", "--threads", "8"),
    "runserver": lambda processes: processes.runserver(),
}
OWN_LOGGER = {
    "uvicorn": "uvicorn.error",
    "daphne": "daphne.server",
    "gunicorn sync": "gunicorn.error",
    "gunicorn gthread": "gunicorn.error",
}


class Server:
    """A running server and requests to it."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.port = process.wait_for_port()

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Return status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=180)
        try:
            connection.request("GET", path, headers={**headers, "Connection": "close"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def send(self, data: bytes) -> bytes:
        """Return all that comes back for the bytes of a request."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=180) as connection:
            try:
                connection.sendall(data)
            except ConnectionError:  # it has heard enough
                pass
            return b"".join(_received(connection))

    def leave(self, path: str, after: str) -> Line:
        """Ask for *path*, go away once the event *after* is logged, and return that event's line."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=180) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            return self.process.wait_for_event(after)


def _received(connection: socket.socket) -> Iterator[bytes]:
    try:
        while data := connection.recv(65536):
            yield data
    except ConnectionError:
        return


@pytest.fixture(params=START)
def name(request: Any) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def start(processes: Processes, database: Database) -> Callable[..., Server]:
    """Start a server by name, with the database of the test."""

    def started(name: str, **environ: str) -> Server:
        processes.environ |= {**database.environ, "DTX_TEST_SETTINGS": URLS, **environ}
        return Server(START[name](processes))

    return started


def test_under_load_every_request_has_its_lines_and_no_others(start: Callable[..., Server], name: str) -> None:
    """All lines are JSON, none comes twice, none bears another's id, and the server's own are among them."""
    server = start(name)

    def ask(number: int) -> None:
        path = f"/api/tournaments/{number}/busy/"
        assert server.get(path, **{"X-Request-ID": f"id-{number}"}) == (200, f"id-{number}")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(ask, range(REQUESTS)))
    process = server.process
    process.wait_for_event("request_completed", count=REQUESTS)
    process.stop()
    assert not [text for text in process.other if text.startswith(("{", "["))], process.text
    assert name == "runserver" or not process.other, process.text
    # gunicorn's master has no application, so its lines are its own.
    assert name.startswith("gunicorn") or not process.errors, process.text
    assert not [text for text in process.errors if not text.startswith("[")], process.text
    lines = [line for line in process.lines if "request.id" in line]
    expected = {(f"id-{number}", event) for number in range(REQUESTS) for event in ("busy", "of stdlib", "request_completed")}
    assert Counter((line["request.id"], line["event"]) for line in lines) == Counter(expected)
    assert all(line["request.id"] == f"id-{line['tournament.id']}" for line in lines)
    own = OWN_LOGGER.get(name)
    assert own is None or [line for line in process.lines if line["logger"] == own]
    assert not [line for line in process.lines if line["logger"] in ("uvicorn.access", "gunicorn.access", "django.server")]


ODD_PATHS = [
    b"/%", b"/%zz", b"/%00", b"/a%00b/", b"/%ff%fe/", b"/%0aforged=1", b"/%0d%0aforged: 1", b"/%1b[31mred", b"/%e2%80%aeibid",
    b"/%c2%9b31m", b"/%ed%a0%80/", b"/" + b"a" * 4000, b"//http/ok/", b"/http/ok/../ok/", b"/%7b%22event%22%3a%22forged%22%7d",
    b"/http/ok/?secret-query=%0aforged", b"/http/boom/?secret-query=%1b[31m", b"/nowhere/?secret-query=%e2%80%ae",
    b"/http/ok/?secret-query=" + b"q" * 1_000_000, b"*", b"http://elsewhere/http/ok/?secret-query",
]  # fmt: skip


def _requests() -> list[bytes]:
    """Return the rubbish: each byte in an id, long ids, many ids, odd paths, methods and queries."""
    template = b"GET /http/ok/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-ID: %s\r\n\r\n"
    ids = [b"a%ca" % byte for byte in range(256)]
    ids += [
        b"a" * 129,
        b"a" * 8192,
        b"",
        b" ",
        b"a\r\nX-Request-ID: b",
        b"a\r\nX-Request-ID: \x1b[31m",
        b"a,b",
        b"forged\r\n more",
    ]
    odd = [b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path for path in ODD_PATHS]
    methods = [
        b"FORGED%s /http/ok/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % more for more in (b"", b"\x1b[31m", b"%0a")
    ]
    return [*[template % given for given in ids], *odd, *methods]


def _status(answer: bytes) -> bytes:
    return answer.partition(b"\r\n")[0].partition(b" ")[2][:3]


@pytest.mark.parametrize(("name", "log_format"), [("uvicorn", "json"), ("daphne", "pretty"), ("gunicorn gthread", "logfmt")])
def test_rubbish_is_answered_as_without_us_and_forges_nothing(start: Callable[..., Server], name: str, log_format: str) -> None:
    """The status is that of the bare application; no line is forged, no escape sequence printed, no query, no bad id."""
    server, bare = start(name, LOG_FORMAT=log_format), start(name, TELEMETRY_ENABLED="false")
    for request in _requests():
        answer = server.send(request)
        assert _status(answer) == _status(bare.send(request)), (request[:200], answer[:400])
        # What the server itself refuses never reaches us.
        for line in answer.partition(b"\r\n\r\n")[0].split(b"\r\n"):
            if line.lower().startswith(b"x-request-id:"):
                assert line.partition(b": ")[2].decode().isascii(), line
                assert len(line) < 150, line
    server.get("/http/ok/", **{"X-Request-ID": "the-last-one"})
    server.process.wait_for_text("the-last-one")
    server.process.stop()
    output = [*server.process.other, *server.process.errors]
    text = "\n".join(output) + "".join(json.dumps(line, ensure_ascii=False) for line in server.process.lines)
    assert "secret-query" not in text
    assert not {"\x1b", "\u202e", "\x9b", "\x00"} & set("\n".join(output))
    starts = {"json": "{", "pretty": "20", "logfmt": "timestamp="}[log_format]
    ours = [line for line in server.process.other if not line.startswith("    ")]
    assert not [line for line in ours if not line.startswith(starts)], ours
    assert not [line for line in server.process.lines if line["event"] == "forged" or "forged" in line]


def test_a_client_that_leaves_cancels_its_request(start: Callable[..., Server]) -> None:
    """Under uvicorn: a view that works, and a body that has begun. Each has one event, and the process goes on."""
    server = start("uvicorn")
    waiting = server.leave("/http/async/slow/", after="waiting")
    line = server.process.wait_for_event("request_cancelled")
    assert (line["request.id"], line["http.route"]) == (waiting["request.id"], "/http/async/slow/")
    tick = server.leave("/http/async/slow_stream/", after="tick")
    line = server.process.wait_for(lambda line: line["event"] == "request_cancelled" and "stream" in line["http.route"])
    assert line["request.id"] == tick["request.id"]
    closed = server.process.wait_for_event("ticks_closed")
    assert closed["request.id"] == tick["request.id"]
    assert server.get("/http/ok/")[0] == 200
    server.process.wait_for_event("request_completed")
    server.process.stop()
    assert Counter(line["event"] for line in server.process.lines if line["event"].startswith("request_")) == {
        "request_cancelled": 2,
        "request_completed": 1,
    }


@pytest.mark.parametrize("name", ["uvicorn", "gunicorn gthread", "gunicorn sync"])
def test_a_server_that_is_stopped_closes_what_runs(start: Callable[..., Server], name: str) -> None:
    """A graceful shut-down lets the request end, with its event."""
    server = start(name)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.get, "/http/async/slow/?seconds=1")
        waiting = server.process.wait_for_event("waiting")
        server.process.stop()
        assert answer.result() == (200, "waited")
    assert server.process.wait_for_event("request_completed")["request.id"] == waiting["request.id"]


@pytest.mark.parametrize("name", STOPPED_EARLY)
def test_a_server_that_does_not_wait_closes_what_runs(processes: Processes, database: Database, name: str) -> None:
    """Its patience is over, or it was told to have none (SIGQUIT): what it never runs again has its one event too."""
    processes.environ |= {**database.environ, "DTX_TEST_SETTINGS": URLS}
    server = Server(STOPPED_EARLY[name](processes))
    path = "/http/slow/" if name.startswith("gunicorn") else "/http/async/slow/"
    with ThreadPoolExecutor(2) as pool:
        ids = ["one", "two"]
        for each in ids:
            pool.submit(server.get, f"{path}?seconds=120", **{"X-Request-ID": each})
            server.process.wait_for_event("waiting", request_id=each)
        server.process.stop(signal.SIGQUIT if name == "gunicorn gevent" else signal.SIGTERM)
    ends = [line for line in server.process.lines if line["event"].startswith("request_")]
    assert sorted((line["request.id"], line["event"]) for line in ends) == [(each, "request_cancelled") for each in ids]
    assert all(line["duration_ms"] > 0 and line["http.route"] == path for line in ends)


@pytest.mark.parametrize("library", ["httpx", "requests", "urllib"])
def test_an_outgoing_call_takes_the_id_along(start: Callable[..., Server], library: str) -> None:
    """The README's ways to call another service: that one logs under the same id."""
    caller, called = start("gunicorn gthread"), start("gunicorn gthread")
    url = f"http://127.0.0.1:{called.port}/api/tournaments/5/busy/"
    assert caller.get(f"/http/call/?by={library}&url={url}", **{"X-Request-ID": f"by-{library}"}) == (200, f"by-{library}")
    assert called.process.wait_for_event("busy")["request.id"] == f"by-{library}"
    assert called.process.wait_for_event("request_completed")["request.id"] == f"by-{library}"
