"""Said once by real servers and workers: what an event of ours says, no line of theirs repeats on our output."""

import http.client
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from dtx_telemetry import bind_fields
from tests.support.brokers import Broker
from tests.support.celery_app import make_app
from tests.support.lines import parse_line, with_event
from tests.support.processes import Process, Processes, run_python

SOCKETS = "tests.project.sockets:application"


ACCESS = ("django.server", "django.channels.server", "uvicorn.access", "gunicorn.access")


@pytest.fixture
def app(filesystem: Broker) -> Iterator[Celery]:
    with make_app(filesystem) as app:
        yield app


@pytest.mark.parametrize("pool", ["prefork", "solo"])
@pytest.mark.parametrize("wanted", [False, True])
def test_a_workers_lines_about_a_task(processes: Processes, filesystem: Broker, app: Celery, pool: str, wanted: bool) -> None:
    """Celery's "received", "succeeded", "raised unexpected" and the like are printed where they are wanted, else not."""
    given = {"DTX_TELEMETRY": {"FRAMEWORK_LINES": wanted}}
    processes.environ.update({**filesystem.environ, "DTX_TEST_SETTINGS": json.dumps(given)})
    worker = processes.worker("-I", "tests.plain_app.tasks", pool=pool, app="tests.project")
    names = [f"tests.plain_app.tasks.{name}" for name in ("echo", "fail", "fail_as_expected", "ignore", "autoretry")]
    with bind_fields(**{"request.id": "req-1"}):
        ids = [app.send_task(name).id for name in names]
    closing = {"task_completed", "task_failed", "task_ignored"}
    worker.wait_for_lines(lambda line: line["event"] in closing, count=len(ids))
    worker.stop()
    celerys = [line for line in worker.lines if line["event"].startswith("Task ")]
    assert [line["event"] for line in celerys if not wanted] == []
    failed = with_event(worker.lines, "task_failed")
    assert all("exception" in line for line in failed if line["level"] == "error")
    if wanted:
        assert len([line for line in celerys if line["event"].endswith("received")]) == len(ids) + 1
        assert {line["task.id"] for line in celerys} == set(ids)
        others = [line for line in celerys if not line["event"].endswith("received")]
        assert len(others) == len(ids) + 1
        assert all(line["request.id"] == "req-1" for line in others)


@pytest.mark.parametrize("wanted", [False, True])
def test_a_workers_line_about_a_lost_task(processes: Processes, filesystem: Broker, app: Celery, wanted: bool) -> None:
    """Celery's "Task handler raised error" comes from the worker's main process, which handles no task: it gets the ids."""
    given = {"DTX_TELEMETRY": {"FRAMEWORK_LINES": wanted}, "CELERY_WORKER_LOST_WAIT": 0.5}
    processes.environ.update({**filesystem.environ, "DTX_TEST_SETTINGS": json.dumps(given)})
    worker = processes.worker("-I", "tests.plain_app.tasks", pool="prefork", app="tests.project")
    with bind_fields(**{"request.id": "req-1"}):
        lost = app.send_task("tests.plain_app.tasks.kill")
    failed = worker.wait_for_event("task_failed")
    echo = app.send_task("tests.plain_app.tasks.echo")  # by then the line has come
    worker.wait_for_event("task_completed", **{"task.id": echo.id})
    worker.stop()
    assert "WorkerLostError" in failed["exception"]
    celerys = [line for line in worker.lines if line["logger"] == "celery.worker.request"]
    assert len(celerys) == wanted
    for line in celerys:
        assert line["event"].startswith("Task handler raised error: ")
        assert (line["request.id"], line["task.id"]) == ("req-1", lost.id)


@pytest.mark.parametrize("wanted", [False, True])
def test_a_workers_line_about_a_revoked_task(processes: Processes, filesystem: Broker, app: Celery, wanted: bool) -> None:
    """Celery's "Discarding revoked task" comes before ``task_revoked``, in no scope: it gets the ids."""
    given = {"DTX_TELEMETRY": {"FRAMEWORK_LINES": wanted}}
    processes.environ.update({**filesystem.environ, "DTX_TEST_SETTINGS": json.dumps(given)})
    worker = processes.worker("-I", "tests.plain_app.tasks", app="tests.project")
    name = "tests.plain_app.tasks.echo"
    task = app.send_task(name, expires=datetime.now(UTC) - timedelta(hours=1))
    worker.wait_for_event("task_revoked", **{"task.id": task.id})
    worker.stop()
    celerys = [line for line in worker.lines if line["logger"] == "celery.worker.request"]
    assert [(line["task.id"], line["task.name"]) for line in celerys] == [(task.id, name)] * wanted


WORKER = """
    import logging, os, threading
    from collections import Counter
    import dtx_telemetry.celery
    from celery import Celery
    from celery.contrib.testing.worker import start_worker
    from celery.exceptions import Ignore

    CELERYS = "celery.worker.strategy", "celery.app.trace"
    made, kept = Counter(), Counter()
    make_record = logging.Logger.makeRecord

    def counting(logger, name, *args, **kwargs):
        made[name] += 1
        return make_record(logger, name, *args, **kwargs)

    class Kept(logging.Handler):
        def emit(self, record):
            kept[record.name] += 1

    logging.Logger.makeRecord = counting
    if "early" in os.environ["HANDLERS"]:
        logging.getLogger("celery").addHandler(Kept())
    app = Celery("spared", broker="memory://", backend="disabled://", broker_transport_options={"polling_interval": 0.01})
    app.conf.worker_enable_remote_control = False

    @app.task(name="work")
    def work():
        pass

    @app.task(name="refuse")
    def refuse():
        raise Ignore

    done = threading.Semaphore(0)
    app.loader.on_process_cleanup = done.release
    with start_worker(app, pool="solo", loglevel="INFO", perform_ping_check=False):
        if "late" in os.environ["HANDLERS"]:
            logging.getLogger().addHandler(Kept())
        for task in (work, refuse):
            task.delay()
            done.acquire()
    print("made", *[made[name] for name in CELERYS])
    print("kept", *[kept[name] for name in CELERYS])
"""


@pytest.mark.parametrize(
    ("handlers", "given", "expected"),
    [
        ("", {}, ["made 0 0", "kept 0 0"]),
        ("early", {}, ["made 2 2", "kept 2 2"]),
        ("late", {}, ["made 0 2", "kept 0 2"]),  # the worker asked as it started, as it does for levels
        ("", {"LOG_LEVELS": "dtx_telemetry=ERROR"}, ["made 0 2", "kept 0 0"]),
    ],
    ids=["nobody else listens", "a handler", "a handler added to a running worker", "our events are silenced"],
)
def test_records_that_nobody_would_see_are_not_made(handlers: str, given: dict[str, str], expected: list[str]) -> None:
    """Celery is told that nobody gets "received" and "succeeded" where that is so, and where our events say it."""
    *lines, made, kept = run_python(WORKER, LOG_FORMAT="json", HANDLERS=handlers, **given).splitlines()
    assert [made, kept] == expected
    celerys = [line for line in map(parse_line, lines) if line["logger"] == "celery.app.trace"]
    assert len(celerys) == (2 if given else 0)


SERVERS: dict[str, Callable[[Processes], Process]] = {
    "uvicorn": lambda processes: processes.uvicorn(app=SOCKETS),
    "daphne": lambda processes: processes.daphne("-v", "0", app=SOCKETS),
    "gunicorn": lambda processes: processes.gunicorn("--access-logfile", "-"),
    "runserver": lambda processes: processes.runserver(),
    "daphne's runserver": lambda processes: processes.runserver(),
}


def start(processes: Processes, name: str, **telemetry: Any) -> tuple[Process, int]:
    given: dict[str, Any] = {"ROOT_URLCONF": "tests.project.http_urls", "USE_TZ": True, "DTX_TELEMETRY": telemetry}
    if name == "daphne's runserver":
        ours = ["dtx_telemetry", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "channels"]
        given |= {"INSTALLED_APPS": ["daphne", *ours], "ASGI_APPLICATION": "tests.project.sockets.application"}
    processes.environ["DTX_TEST_SETTINGS"] = json.dumps(given)
    process = SERVERS[name](processes)
    return process, process.wait_for_port()


def get(port: int, path: str, request_id: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=180)
    try:
        connection.request("GET", path, headers={"X-Request-ID": request_id, "Connection": "close"})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


PATHS = {"/http/ok/?a=1": 200, "/http/missing/": 404, "/http/unavailable/": 503, "/http/boom/": 500}


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("wanted", [False, True], ids=["left out", "wanted"])
def test_a_servers_lines_about_a_request(processes: Processes, name: str, wanted: bool) -> None:
    """Access lines and Django's are printed where they are wanted, with the request's id; else the closing event is alone."""
    process, port = start(processes, name, FRAMEWORK_LINES=wanted)
    for number, (path, status) in enumerate(PATHS.items()):
        assert get(port, path, f"id-{number}") == status
        process.wait_for(lambda line, number=number: line.get("request.id") == f"id-{number}" and "duration_ms" in line)
    if wanted and name != "daphne":
        process.wait_for_lines(lambda line: line["logger"] in ACCESS, count=len(PATHS))
    process.stop()
    access = [line for line in process.lines if line["logger"] in ACCESS and "/http/" in line["event"]]
    django = [line for line in process.lines if line["logger"] == "django.request"]
    tracebacks = [line["event"] for line in process.lines if "exception" in line]
    assert tracebacks == ["request_failed"]
    if not wanted:
        assert access == django == []
        return
    assert [line["request.id"] for line in django] == ["id-1", "id-2", "id-3"]
    assert [line["request.id"] for line in access] == ([] if name == "daphne" else [f"id-{number}" for number in range(4)])


@pytest.mark.parametrize("name", ["uvicorn", "daphne", "daphne's runserver"])
@pytest.mark.parametrize("wanted", [False, True], ids=["left out", "wanted"])
def test_a_servers_report_of_a_consumers_exception(processes: Processes, name: str, wanted: bool) -> None:
    """``ws_failed`` has printed it; where it is wanted it has the connection's ids."""
    process, port = start(processes, name, FRAMEWORK_LINES=wanted)
    for number in range(2):
        address = f"ws://127.0.0.1:{port}/ws/async/draft/5/"
        with connect(address, additional_headers={"X-Request-ID": f"id-{number}"}, proxy=None) as socket:
            socket.send("fail")
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=180)
    failed = process.wait_for_lines(lambda line: line["event"] == "ws_failed", count=2)
    if wanted:
        process.wait_for_lines(lambda line: line["logger"] in {"uvicorn.error", "daphne.server"} and "error" in line, count=2)
    # Daphne looks once a second; what it says of a consumer that nobody watches comes after what it said of the others.
    with connect(f"ws://127.0.0.1:{port}/ws/bare/draft/5/", proxy=None) as socket:
        socket.send("fail")
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=180)
    process.wait_for(lambda line: "error" in line and line["error"] == "RuntimeError: nobody watches")
    process.stop()
    servers = [line for line in process.lines if line["logger"] in {"uvicorn.error", "daphne.server"} and "error" in line]
    ours = [line for line in servers if line["error"] == "RuntimeError: no mana"]
    assert [line["request.id"] for line in ours] == (["id-0", "id-1"] if wanted else [])
    assert {line["ws.conn_id"] for line in ours} == ({line["ws.conn_id"] for line in failed} if wanted else set())
    assert all("exception" in line for line in failed)
    (unwatched,) = [line for line in servers if line["error"] == "RuntimeError: nobody watches"]
    assert "exception" in unwatched
    assert not [line for line in process.lines if line["logger"] in ACCESS and not wanted]


def _shake_hands(port: int, consumer: str) -> int:
    """Open a WebSocket and close it, and return the status of the handshake."""
    address = f"ws://127.0.0.1:{port}/ws/{consumer}/draft/5/"
    try:
        with connect(address, additional_headers={"X-Request-ID": consumer}, proxy=None):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


CLOSING = {"ws_disconnected", "ws_rejected", "ws_failed"}


HANDSHAKES = {"async": 101, "sync": 101, "rejects": 403, "denies": 401, "fails_to_connect": 500}


@pytest.mark.parametrize("wanted", [False, True], ids=["left out", "wanted"])
def test_uvicorns_lines_about_a_handshake(processes: Processes, wanted: bool) -> None:
    """A decorated consumer's events say it; where the lines are wanted they have its ids. An undecorated one's stay."""
    processes.environ["DTX_TEST_SETTINGS"] = json.dumps({"DTX_TELEMETRY": {"FRAMEWORK_LINES": wanted}})
    process = processes.uvicorn("--ws", "websockets-sansio", app=SOCKETS)  # the default of newer versions
    port = process.wait_for_port()
    assert {consumer: _shake_hands(port, consumer) for consumer in HANDSHAKES} == HANDSHAKES
    for consumer in HANDSHAKES:
        process.wait_for(lambda line, consumer=consumer: line.get("request.id") == consumer and line["event"] in CLOSING)
    assert _shake_hands(port, "bare") == 101
    process.wait_for(lambda line: line["event"] == "connection open" and "ws.conn_id" not in line)
    process.stop()
    servers = [line for line in process.lines if line["logger"] == "uvicorn.error"]
    about = [line for line in servers if "WebSocket" in line["event"] or "connection " in line["event"]]
    told = [(line.get("request.id"), line["event"].partition(" - ")[2] or line["event"]) for line in about]
    unwatched = [(None, '"WebSocket /ws/bare/draft/5/" [accepted]'), (None, "connection open")]
    assert [line for line in told if line[0] is None] == unwatched
    reached = {request_id for request_id, _ in told if request_id is not None}
    assert reached == (set(HANDSHAKES) if wanted else set())
