"""Many at once: fifty browsers, each with requests, tasks and a socket of its own, and no line with another's id."""

import asyncio
import json
from collections import Counter

import httpx
from websockets.asyncio.client import connect

from tests.support.waiting import wait_until

BROWSERS = 50
ROUNDS = 5
LINES = 2000


async def browse(number, address, http):
    """Be one browser: a socket that stays open, and requests whose tasks log, and tell the socket."""
    path = f"ws://{address}/ws/draft/{number}/"
    headers = {"X-Request-ID": f"socket-{number}"}
    async with connect(path, additional_headers=headers, open_timeout=180, proxy=None) as socket:
        for turn in range(ROUNDS):
            await socket.send(json.dumps({"browser": number}))
            await socket.recv()
            for task, arguments in (("echo", [number]), ("tell_group", [f"draft_{number}", f"{number}:{turn}"])):
                body = {"task": task, "args": arguments}
                headers = {"X-Request-ID": f"request-{number}-{turn}-{task}"}
                answer = await http.post(f"http://{address}/api/tournaments/{number}/publish/", json=body, headers=headers)
                assert answer.headers["X-Request-ID"] == headers["X-Request-ID"]
            assert json.loads(await socket.recv())["told"] == f"{number}:{turn}"


async def browse_all(address):
    # Each request has a connection of its own: the server closes idle ones, perhaps just as one is used again.
    async with httpx.AsyncClient(
        timeout=180, limits=httpx.Limits(max_connections=BROWSERS, max_keepalive_connections=0)
    ) as http:
        await asyncio.gather(*(browse(number, address, http) for number in range(BROWSERS)))


def browsers_of(line, owners):
    """Return every browser that *line* tells of: by what it logs, by what is bound, by ids that were seen with a browser."""
    told = {line.get("tournament.id"), line.get("draft.id")}
    identity = str(line.get("request.id"))
    if identity.startswith(("request-", "socket-")):
        told.add(int(identity.split("-")[1]))
    if line["event"] == "echo":
        told.add(line["args_given"][0])
    if line["event"] == "telling":
        told.add(int(line["group"].removeprefix("draft_")))
    if line["event"] == "told":
        told.add(int(line["text"].split(":")[0]))
    if line["event"] == "received":
        told.add(line["content"]["browser"])
    told |= {owners.get(line.get(key)) for key in ("ws.conn_id", "task.id")}
    return told - {None}


def test_no_line_has_anothers_id(processes, valkey, valkey_url, tmp_path):
    """Two thousand lines of a server and a threads worker: each is about one browser, and everything on it says so."""
    database = str(tmp_path / "empty.sqlite3")
    # The other layer of channels_redis may lose the cancel of a consumer that ends, and then never lets it go.
    layer = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [valkey_url]}}
    layers = {"default": {"BACKEND": "dtx_telemetry.layers.TelemetryChannelLayer", "CONFIG": layer}}
    processes.environ |= {
        **valkey.environ,
        "DTX_TEST_SETTINGS": json.dumps({"CHANNEL_LAYERS": layers}),
        "DTX_TEST_DB": database,
    }
    server = processes.uvicorn()
    worker = processes.worker(pool="threads", concurrency=8)

    asyncio.run(browse_all(f"127.0.0.1:{server.wait_for_port()}"))
    worker.wait_for_event("task_completed", count=2 * BROWSERS * ROUNDS, deadline=180)
    server.wait_for_event("ws_disconnected", count=BROWSERS)
    wait_until(lambda: len(server.lines) + len(worker.lines) >= LINES, what=f"{LINES} lines")

    lines = [*server.lines, *worker.lines]
    owners = {line["ws.conn_id"]: line["draft.id"] for line in lines if line["event"] == "ws_connected"}
    owners |= {line["task.id"]: line["tournament.id"] for line in lines if line["event"] == "task_published"}
    assert len(owners) == BROWSERS + 2 * BROWSERS * ROUNDS
    for line in lines:
        assert len(browsers_of(line, owners)) <= 1, line
    counts = Counter((line["event"], *browsers_of(line, owners)) for line in lines)
    for number in range(BROWSERS):
        for event, count in expected_counts().items():
            assert counts[event, number] == count, (event, number, counts[event, number])


def expected_counts():
    """Return how many lines of each event one browser causes."""
    once = ("ws_connected", "ws_disconnected")
    every_turn = ("received", "echo", "telling", "told")
    twice = ("request_completed", "task_published", "task_started", "task_completed")
    return {**dict.fromkeys(once, 1), **dict.fromkeys(every_turn, ROUNDS), **dict.fromkeys(twice, 2 * ROUNDS)}
