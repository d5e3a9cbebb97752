"""The click: a view, the task that it publishes and the consumer that the task tells, in three processes, under one id."""

import httpx
import pytest
from websockets.sync.client import connect

from tests.support.lines import with_fields

CLICK = "click-1"
SENDERS = ("request.id", "user.id", "labels", "tournament.id")


@pytest.fixture(params=["valkey", "rabbitmq"])
def broker(request):
    """Each broker that there is; the channel layer and the database are the test's own."""
    return request.getfixturevalue(request.param)


def own_lines(process, event):
    """Return the lines of *event* that bear the click's id."""
    return with_fields([line for line in process.lines if line["event"] == event], request_id=CLICK)


@pytest.mark.parametrize("kind", ["uvicorn", "daphne"])
def test_one_id_in_three_processes(processes, broker, database, valkey_url, kind):
    """Every line that the click caused has its id, user and labels; the socket's own lines keep theirs; the message arrives."""
    processes.environ |= {**broker.environ, **database.environ, "DTX_TEST_CHANNEL_LAYER": valkey_url}
    server = processes.uvicorn() if kind == "uvicorn" else processes.daphne("-v", "0")
    worker = processes.worker(pool="prefork")
    address = f"127.0.0.1:{server.wait_for_port()}"
    headers = {**database.headers, "X-Request-ID": "socket-1"}

    with connect(f"ws://{address}/ws/draft/5/", additional_headers=headers, open_timeout=180, proxy=None) as socket:
        body = {"task": "tell_group", "args": ["draft_5", "your pick"]}
        url = f"http://{address}/api/tournaments/7/publish/"
        answer = httpx.post(url, json=body, headers={**database.headers, "X-Request-ID": CLICK}, timeout=180)
        pushed = socket.recv(timeout=180)
    server.wait_for_event("ws_disconnected")
    worker.wait_for_event("task_completed")

    assert answer.status_code == 202
    assert answer.headers.get_list("x-request-id") == [CLICK]
    assert "your pick" in pushed
    theirs = {"request.id": CLICK, "user.id": database.user_id, "labels": ["tournament"], "tournament.id": 7}
    expected = {server: ["task_published", "request_completed", "told"], worker: ["task_started", "telling", "task_completed"]}
    for process, events in expected.items():
        for event in events:
            (line,) = own_lines(process, event)
            labels = [*theirs["labels"], "draft"] if event == "told" else theirs["labels"]
            assert {key: line.get(key) for key in SENDERS} == {**theirs, "labels": labels}, line
    task = {line["task.id"] for line in (*own_lines(server, "task_published"), *own_lines(worker, "telling"))}
    assert task == {answer.json()["task_id"]}

    (connected,) = [line for line in server.lines if line["event"] == "ws_connected"]
    (told,) = own_lines(server, "told")
    (closed,) = [line for line in server.lines if line["event"] == "ws_disconnected"]
    for line in (connected, closed):
        assert (line["request.id"], line["user.id"], line["draft.id"]) == ("socket-1", database.user_id, 5)
        assert "tournament.id" not in line
    assert told["ws.conn_id"] == connected["ws.conn_id"]
    assert told["draft.id"] == 5
    assert told["keys"] == ["text", "type"]
    server.stop()
    assert worker.stop() == 0
    assert server.other == []


def test_the_way_back(processes, valkey, database, valkey_url):
    """A task that a consumer publishes has the socket's id and its ``ws.conn_id``."""
    processes.environ |= {**valkey.environ, **database.environ, "DTX_TEST_CHANNEL_LAYER": valkey_url}
    server = processes.uvicorn(app="tests.project.sockets:application")
    worker = processes.worker(pool="threads")
    uri = f"ws://127.0.0.1:{server.wait_for_port()}/ws/async/draft/5/"

    with connect(uri, additional_headers={"X-Request-ID": CLICK}, open_timeout=180, proxy=None) as socket:
        socket.send("task")
        socket.recv(timeout=180)
        echo = worker.wait_for_event("echo")

    published = server.wait_for_event("task_published")
    assert echo["task.id"] == published["task.id"]
    for line in (echo, published):
        assert (line["request.id"], line["draft.id"]) == (CLICK, 5)
        assert line["ws.conn_id"] == server.wait_for_event("ws_connected")["ws.conn_id"]
