"""Consumers under the real uvicorn, Daphne and granian, with real clients that close, vanish and are thrown out."""

import os
import signal
import socket as sockets
import struct
import uuid
from collections import deque
from contextlib import ExitStack
from functools import partial

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.support.lines import with_event, with_fields
from tests.support.processes import Processes
from tests.support.waiting import wait_until

APP = "tests.project.sockets:application"
SERVERS = ["uvicorn", "daphne", "granian"]
ENDS = {"ws_rejected", "ws_disconnected", "ws_failed"}
REQUEST_ENDS = {"request_completed", "request_failed", "request_cancelled"}


class Server:
    """A server of the project, and what one click of a test did there."""

    def __init__(self, processes, kind, *args, **options):
        starts = {"uvicorn": processes.uvicorn, "daphne": partial(processes.daphne, "-v", "0"), "granian": processes.granian}
        self.process = starts[kind](*args, app=APP, **options)
        self.kind = kind
        self.port = self.process.wait_for_port()

    def connect(self, name, request_id, **options):
        headers = [("X-Request-ID", request_id), *options.pop("headers", {}).items()]
        uri = f"ws://127.0.0.1:{self.port}/ws/{name}/draft/5/"
        return connect(uri, additional_headers=headers, open_timeout=180, close_timeout=180, proxy=None, **options)

    def http(self, body, request_id):
        return httpx.post(
            f"http://127.0.0.1:{self.port}/api/stream/", content=body, headers={"X-Request-ID": request_id}, timeout=180
        )

    def lines(self, request_id):
        """Return the lines under that id, without those that the server itself logs in the middle of the consumer's."""
        return [
            line
            for line in with_fields(list(self.process.lines), request_id=request_id)
            if not line["logger"].startswith("uvicorn")
        ]

    def end_of(self, request_id, ends=ENDS):
        """Return the closing event of a connection, once it is there; fails if it is not the only one and the last line."""
        wait_until(lambda: [line for line in self.lines(request_id) if line["event"] in ends], what=f"the end of {request_id}")
        # Anything more that the consumer logs comes before the server answers another connection's handshake and close.
        with self.connect("async", f"after-{request_id}"):
            pass
        self.process.wait_for_event("ws_disconnected", request_id=f"after-{request_id}")
        assert [line["event"] for line in self.lines(request_id) if line["event"] in ends] == [
            self.lines(request_id)[-1]["event"]
        ]
        return self.lines(request_id)[-1]


@pytest.fixture(scope="module", params=["uvicorn", "daphne"])
def server(request, tmp_path_factory):
    """A server that all tests of this module use, but for those that stop it."""
    processes = Processes(LOG_FORMAT="json", DTX_TEST_DB=str(tmp_path_factory.mktemp("database") / "empty.sqlite3"))
    try:
        yield Server(processes, request.param)
    finally:
        processes.kill()


@pytest.fixture
def request_id():
    return uuid.uuid4().hex


def vanish(socket):
    """End the connection as a crashed machine or a cut cable does: without a close frame, without a farewell."""
    socket.socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    socket.socket.shutdown(sockets.SHUT_RD)
    socket.socket.close()


BOTH = pytest.mark.parametrize("name", ["async", "sync"])


@BOTH
@pytest.mark.parametrize("code", [1000, 1001, 4001])
def test_the_client_closes(server, request_id, name, code):
    """With its code; every line bears the ids."""
    with server.connect(name, request_id) as socket:
        socket.send("hi")
        assert socket.recv(timeout=180) == "hi"
        socket.close(code)

    end = server.end_of(request_id)
    assert (end["event"], end["close_code"]) == ("ws_disconnected", code)
    assert (end["ws.messages_received"], end["ws.messages_sent"]) == (1, 1)
    assert end["duration_ms"] > 0
    lines = server.lines(request_id)
    assert [line["event"] for line in lines] == ["ws_connected", "received", "disconnecting", "ws_disconnected"]
    assert len({line["ws.conn_id"] for line in lines}) == 1
    assert all(line["labels"] == ["draft"] and line["draft.id"] == 5 for line in lines)
    assert lines[0]["client.address"] == "127.0.0.1"


def close_without_a_code(socket):
    """Send a close frame with nothing in it, as browsers do for ``socket.close()``."""
    socket.protocol.send_close()
    socket.socket.sendall(b"".join(socket.protocol.data_to_send()))


def test_the_client_closes_without_a_code(server, request_id):
    """1005, which stands for none."""
    with server.connect("async", request_id) as socket:
        close_without_a_code(socket)
        server.process.wait_for_event("disconnecting", request_id=request_id)

    assert server.end_of(request_id)["close_code"] == 1005


@BOTH
def test_the_server_closes(server, request_id, name):
    """With the consumer's code."""
    with server.connect(name, request_id) as socket:
        socket.send("close")
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=180)
        assert socket.close_code == 4002

    end = server.end_of(request_id)
    assert end["close_code"] == 4002


@BOTH
def test_the_client_vanishes(server, request_id, name):
    """Without a word: 1006."""
    with server.connect(name, request_id) as socket:
        vanish(socket)

    end = server.end_of(request_id)
    assert (end["event"], end["close_code"]) == ("ws_disconnected", 1006)


def test_the_client_vanishes_while_it_is_sent_to(server, request_id):
    """What the server makes of it is not a failure of the consumer's: no traceback."""
    if server.kind == "daphne":
        pytest.skip("Daphne swallows what is sent to a client that is gone, so that the consumer would go on for ever")
    with server.connect("async", request_id) as socket:
        socket.send("flood")
        socket.recv(timeout=180)
        vanish(socket)

    end = server.end_of(request_id)
    assert (end["event"], end["close_code"]) == ("ws_disconnected", 1006)
    assert not [line for line in server.lines(request_id) if "exception" in line]


def test_rejected(server, request_id):
    """Before accept: one warning, and no other event."""
    with pytest.raises(InvalidStatus) as refused, server.connect("rejects", request_id):
        pass
    assert refused.value.response.status_code == 403

    end = server.end_of(request_id)
    assert (end["event"], end["level"], end["close_code"]) == ("ws_rejected", "warning", 4003)
    assert len(server.lines(request_id)) == 1


@BOTH
@pytest.mark.parametrize("how", ["fail", "fail in a message"])
def test_an_exception(server, request_id, name, how):
    """In ``receive`` and in a channel layer's handler: one failure, and its traceback once in the whole output."""
    with server.connect(name, request_id) as socket:
        socket.send(how)
        with pytest.raises(ConnectionClosed):
            deque(iter(partial(socket.recv, timeout=180), None))

    end = server.end_of(request_id)
    assert (end["event"], end["close_code"], end["error"]) == ("ws_failed", 1011, "RuntimeError: no mana")
    assert "no mana" in end["exception"]
    assert len([line for line in server.lines(request_id) if "exception" in line]) == 1


def test_denied_with_a_response(server, request_id):
    """The status that the client gets is on the line."""
    if server.kind == "daphne":
        pytest.skip("Daphne knows no denial by a response, ASGI's extension websocket.http.response")
    with pytest.raises(InvalidStatus) as refused, server.connect("denies", request_id):
        pass
    assert refused.value.response.status_code == 401

    end = server.end_of(request_id)
    assert (end["event"], end["http.status_code"]) == ("ws_rejected", 401)


def test_an_exception_before_accept(server, request_id):
    """One failure."""
    with pytest.raises(InvalidStatus) as refused, server.connect("fails_to_connect", request_id):
        pass
    assert refused.value.response.status_code == 500

    end = server.end_of(request_id)
    assert (end["event"], end["error"]) == ("ws_failed", "RuntimeError: no mana")
    assert len(server.lines(request_id)) == 1


def test_an_exception_in_disconnect(server, request_id):
    """One failure, with the client's code."""
    with server.connect("fails_to_disconnect", request_id) as socket:
        socket.close(4001)

    end = server.end_of(request_id)
    assert (end["event"], end["close_code"]) == ("ws_failed", 4001)


def test_each_exception_has_one_traceback(server, request_id):
    """In ``ws_failed``; the server's own report of it is left out."""
    with server.connect("async", request_id) as socket:
        socket.send("fail")
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=180)
    assert "exception" in server.end_of(request_id)
    # Daphne reports what failed once a second: what nobody watches comes after it, and has its traceback.
    with server.connect("bare", f"bare-{request_id}") as socket:
        socket.send("fail")
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=180)
    unwatched = server.process.wait_for(lambda line: line.get("error") == "RuntimeError: nobody watches")
    assert "exception" in unwatched
    assert not [line for line in list(server.process.lines) if line["logger"] == unwatched["logger"] and "no mana" in str(line)]


def test_a_bad_id_in_the_handshake(server, request_id):
    """Replaced."""
    bad = f"{request_id} with blanks"
    with server.connect("async", bad) as socket:
        socket.send(f"hi {request_id}")
        socket.recv(timeout=180)

    line = server.process.wait_for_event("received", text=f"hi {request_id}")
    assert len(line["request.id"]) == 32
    assert bad not in server.process.text


def test_two_ids_in_the_handshake(server, request_id):
    """Replaced too, as the server gives it: some join them by a comma."""
    with server.connect("async", request_id, headers={"x-request-id": "second"}) as socket:
        socket.send(f"hi {request_id}")
        socket.recv(timeout=180)

    assert server.process.wait_for_event("received", text=f"hi {request_id}")["request.id"] not in {request_id, "second"}


class TestHttp:
    def test_a_request_tells_everyone(self, server, request_id):
        """The HTTP consumer's id is in its response, on its lines, and on the line of the socket that it tells."""
        with server.connect("async", f"socket-{request_id}") as socket:
            answer = server.http(b"", request_id)
            assert socket.recv(timeout=180) == "told"

        assert answer.headers.get_list("x-request-id") == [request_id]
        told = server.process.wait_for_event("told", request_id=request_id)
        assert (
            told["ws.conn_id"] == server.process.wait_for_event("ws_connected", request_id=f"socket-{request_id}")["ws.conn_id"]
        )
        done = server.process.wait_for_event("request_completed", request_id=request_id)
        assert (done["http.method"], done["http.route"], done["http.status_code"]) == ("POST", "/api/stream/", 200)

    def test_an_exception(self, server, request_id):
        """One failure, with a 500."""
        assert server.http(b"fail", request_id).status_code == 500

        assert server.process.wait_for_event("request_failed", request_id=request_id)["http.status_code"] == 500

    def test_a_client_that_leaves(self, server, request_id):
        """In the middle of the body: one cancelled request."""
        url = f"http://127.0.0.1:{server.port}/api/stream/"
        with httpx.stream("POST", url, content=b"for ever", headers={"X-Request-ID": request_id}, timeout=180) as response:
            next(response.iter_raw())

        server.process.wait_for_event("request_cancelled", request_id=request_id)
        assert len([line for line in server.lines(request_id) if line["event"] in REQUEST_ENDS]) == 1


def test_every_line_is_json(server):
    """The servers' own lines come through the pipeline too."""
    assert server.process.other == []


@pytest.mark.parametrize("code", [None, 1000, 4001])
def test_the_client_closes_under_granian(processes, tmp_path, request_id, code):
    """The code is the one that its consumer is told: 1005 for none."""
    processes.environ["DTX_TEST_DB"] = str(tmp_path / "empty.sqlite3")
    server = Server(processes, "granian")
    with server.connect("async", request_id) as socket:
        close_without_a_code(socket) if code is None else socket.close(code)
        told = server.process.wait_for_event("disconnecting", request_id=request_id)

    end = server.process.wait_for_event("ws_disconnected", request_id=request_id)
    assert end["close_code"] == told["code"] == (code or 1005)
    assert end["hero"] == "Invoker"


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_with_open_sockets(processes, tmp_path, kind, number):
    """Asked to stop, a server leaves no connection without its closing event, and none with two."""
    processes.environ["DTX_TEST_DB"] = str(tmp_path / "empty.sqlite3")
    server = Server(processes, kind)
    with ExitStack() as stack:
        for name in ("async", "sync"):
            for index in range(3):
                socket = stack.enter_context(server.connect(name, f"{name}-{index}"))
                socket.send("hi")
                socket.recv(timeout=180)
        with server.connect("async", "closed-before") as closed:
            closed.close(4001)
        server.process.wait_for_event("ws_disconnected", request_id="closed-before")

        server.process.stop(number)

    if has_aborted(server):
        pytest.skip("granian aborted its worker by itself")
    for request_id in [*(f"{name}-{index}" for name in ("async", "sync") for index in range(3)), "closed-before"]:
        ends = [line for line in server.lines(request_id) if line["event"] in ENDS]
        assert [line["event"] for line in ends] == ["ws_disconnected"], server.process.text
        # granian may still tell its consumers of the end, or not.
        codes = (
            {4001} if request_id == "closed-before" else {"uvicorn": {1012}, "daphne": {1006}, "granian": {1005, 1006}}[kind]
        )
        assert ends[0]["close_code"] in codes
        assert ends[0]["ws.messages_received"] == (0 if request_id == "closed-before" else 1)
        assert (ends[0]["draft.id"], ends[0]["hero"]) == (5, "Invoker")
    if kind != "granian":  # its own lines are in a format of its own
        assert server.process.other == []


def stop_twice(process):
    """Ask it to stop, and ask again before it has."""
    process.send_signal(signal.SIGTERM)
    wait_until(lambda: process.ended or any(line["event"] in ENDS for line in tuple(process.lines)))
    process.send_signal(signal.SIGTERM)
    process.wait(deadline=180)


def stop_group(process):
    """Ask it and its children to stop at once, as a terminal and some supervisors do."""
    os.killpg(process.popen.pid, signal.SIGTERM)
    process.wait(deadline=180)


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("stop", [stop_twice, stop_group], ids=["twice", "group"])
def test_a_stop_in_another_way(processes, tmp_path, kind, stop):
    """With idle sockets: a second signal, a signal to all its processes; each connection has its one closing event."""
    processes.environ["DTX_TEST_DB"] = str(tmp_path / "empty.sqlite3")
    ids = {f"idle-{index}" for index in range(16)}
    for _ in range(5):
        server = Server(processes, kind)
        with ExitStack() as stack:
            for request_id in ids:
                stack.enter_context(server.connect("async", request_id))
                server.process.wait_for_event("ws_connected", request_id=request_id)
            stop(server.process)
        if not has_aborted(server):
            break
    ends = [line["request.id"] for line in with_event(server.process.lines, "ws_disconnected")]
    assert sorted(ends) == sorted(ids), server.process.text


def has_aborted(server):
    """Return True if granian's own code aborted its worker, which no program in it survives.

    pyo3 panics in a thread of its runtime ("Cannot drop pointer into Python heap without the thread being attached"): granian
    2.8 does so in one of six stops with open sockets, also under an ASGI application of ten lines without this library.
    """
    return server.kind == "granian" and any("Fatal Python error: Aborted" in line for line in list(server.process.errors))


def test_a_worker_on_a_channel(processes, valkey_url, tmp_path):
    """``runworker``: what a socket sends to a channel is worked on in another process, under the socket's ids."""
    processes.environ |= {"DTX_TEST_CHANNEL_LAYER": valkey_url, "DTX_TEST_DB": str(tmp_path / "empty.sqlite3")}
    processes.environ["DTX_TEST_SETTINGS"] = '{"ASGI_APPLICATION": "tests.project.sockets.application"}'
    server = Server(processes, "uvicorn")
    worker = processes.manage("runworker", "thumbnails")
    with server.connect("async", "click") as socket:
        socket.send("publish")
        assert socket.recv(timeout=180) == "publish"

        made = worker.wait_for_event("made")

    connected = server.process.wait_for_event("ws_connected")
    assert made["request.id"] == "click"
    assert (made["ws.conn_id"], made["draft.id"]) == (connected["ws.conn_id"], 5)
    assert made["keys"] == ["type"]
    assert not with_event(worker.lines, "command_started")
    worker.stop()
    assert worker.other == []


def test_a_logged_in_browser(processes, database):
    """The session's user is on every line of the socket."""
    processes.environ |= database.environ
    server = Server(processes, "uvicorn")
    with server.connect("async", "click", headers=database.headers) as socket:
        socket.send("hi")
        socket.recv(timeout=180)

    server.end_of("click")
    assert {line["user.id"] for line in server.lines("click")} == {database.user_id}
