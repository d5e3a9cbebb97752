"""The viewer over the lines that real processes wrote."""

import json

import httpx
import pytest
from websockets.sync.client import connect

from dtx_telemetry.viewer.model.join import join
from dtx_telemetry.viewer.reading.unwrap import Unwrapper


@pytest.fixture
def lines(processes, valkey, database, valkey_url):
    """What a server and a worker log for requests that publish tasks of all kinds, as JSON in bytes."""
    processes.environ |= {**valkey.environ, **database.environ, "DTX_TEST_CHANNEL_LAYER": valkey_url}
    server = processes.uvicorn()
    worker = processes.worker(pool="prefork")
    address = f"127.0.0.1:{server.wait_for_port()}"
    url = f"http://{address}/api/tournaments/7/publish/"

    def click(request_id, task, *args):
        httpx.post(url, json={"task": task, "args": args}, headers={"X-Request-ID": request_id}, timeout=180)

    with connect(f"ws://{address}/ws/draft/5/", additional_headers={"X-Request-ID": "socket"}, proxy=None) as socket:
        click("click-tell", "tell_group", "draft_5", "your pick")
        socket.recv(timeout=180)
    click("click-nested", "publish", 2)
    click("click-retried", "retry", 2)
    click("click-failed", "fail")
    worker.wait_for_event("echo", request_id="click-nested")
    worker.wait_for_event("task_completed", count=5)
    worker.wait_for_event("task_retried", request_id="click-retried", count=2)  # of another child, maybe after the end
    worker.wait_for_event("task_failed", request_id="click-failed")
    server.wait_for_event("ws_disconnected")
    worker.kill()  # all that is asked for is printed; Celery before 5.7 may wait for a child that it has read half of
    server.stop()
    return [json.dumps(line).encode() for process in (worker, server) for line in process.lines]


def outline(lines, request_id):
    """Return the life of a request as indented text: kind, name, what came of it."""
    found = [line for line in Unwrapper().read(lines) if line.text("request.id") == request_id]
    life = join(found)
    shown = []

    def show(scope, depth):
        number = f" #{scope.attempt}" if scope.attempt else ""
        shown.append(f"{'  ' * depth}{scope.kind} {scope.name.removeprefix('tests.project.tasks.')}{number} {scope.status}")
        for child in scope.children:
            show(child, depth + 1)

    for root in life.roots:
        show(root, 0)
    assert sum(len(scope.lines) for scope in life.scopes()) == len(found), "a line is in no scope, or in two"
    return shown


def test_lives_of_real_processes(lines):
    """Requests, tasks under what published them, attempts side by side, messages under the task that sent them."""
    request = "request POST /api/tournaments/7/publish/ 202"
    assert outline(lines, "click-tell") == [request, "  task tell_group completed", "    message told completed"]
    assert outline(lines, "click-nested") == [
        request,
        "  task publish completed",
        "    task publish completed",
        "      task echo completed",
    ]
    assert outline(lines, "click-retried") == [
        request,
        "  task retry retried",
        "  task retry #1 retried",
        "  task retry #2 completed",
    ]
    assert outline(lines, "click-failed") == [request, "  task fail failed"]
    (connection,) = outline(lines, "socket")
    assert connection.startswith("connection ")
    assert "draft" in connection
    assert connection.endswith(" completed")
