"""Forty thousand layer messages to two thousand sockets over a real server: each arrives once, under its own sender's id.

channels_redis counts a capacity of 100 by default for all the sockets of a process together, whose channels are one key there.
Over it `send` raises ``ChannelFull`` and `group_send` leaves messages out with a line at level info, with us and without us. So
here the capacity is what is needed, and what is counted is what the library adds to that.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.processes import run_python

SOCKETS, ROUNDS = 2_000, 20
CODE = """
    import asyncio, json, sys
    from collections import Counter
    import django
    django.setup()
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.layers import get_channel_layer
    from dtx_telemetry import get_request_id, operation, telemetry_consumer
    from dtx_telemetry.context import bound
    from tests.support.asgi import scope_of

    SOCKETS, ROUNDS, TOGETHER = {sockets}, {rounds}, 50
    arrived, foreign = Counter(), []

    class Consumer(AsyncWebsocketConsumer):
        groups = ["everyone"]

        async def connect(self):
            await self.accept()

        async def told(self, message):
            arrived[self.scope["number"], message["n"]] += 1
            if get_request_id() != f"round-{{message['n']}}" or bound()["draft.id"] != self.scope["number"]:
                foreign.append((message["n"], bound()))

    telemetry_consumer(Consumer)

    async def open_socket(number):
        asked, answered = asyncio.Queue(), asyncio.Queue()
        scope = {{**scope_of(f"/ws/draft/{{number}}/"), "number": number}}
        task = asyncio.create_task(Consumer.as_asgi()(scope, asked.get, answered.put))
        await asked.put({{"type": "websocket.connect"}})
        waiting = asyncio.create_task(answered.get())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        assert waiting.done(), task
        return task

    async def main():
        tasks = []
        for first in range(0, SOCKETS, TOGETHER):  # the pool of redis-py has a limit
            tasks += await asyncio.gather(*(open_socket(first + number) for number in range(TOGETHER)))
        for n in range(ROUNDS):
            with operation("round", f"round-{{n}}"):
                await get_channel_layer().group_send("everyone", {{"type": "told", "n": n}})
        while len(arrived) < SOCKETS * ROUNDS:
            assert not any(task.done() for task in tasks)
            before = arrived.total()
            await asyncio.sleep(10)
            if arrived.total() == before:
                break
        print(json.dumps([len(arrived), arrived.total(), len(foreign), foreign[:3]]))
        sys.stdout.flush()
        import os
        os._exit(0)

    asyncio.run(main())
"""


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """Keep processors busy beside the block."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(loops)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_each_message_arrives_once_on_a_busy_machine(valkey_url: str) -> None:
    """At every socket, in its sender's scope."""
    config = {"hosts": [{"address": valkey_url, "socket_timeout": 60}], "capacity": SOCKETS * ROUNDS, "expiry": 900}
    layer = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": config}}
    environ = {
        "DJANGO_SETTINGS_MODULE": "tests.project.settings",
        "DTX_TEST_SETTINGS": json.dumps({"CHANNEL_LAYERS": layer}),
        "LOG_LEVELS": "dtx_telemetry.websocket=WARNING",
    }

    with busy(2):
        output = run_python(CODE.format(sockets=SOCKETS, rounds=ROUNDS), deadline=800, **environ)

    arrived, in_all, foreign, some = json.loads(output.splitlines()[-1])
    assert (arrived, in_all) == (SOCKETS * ROUNDS, SOCKETS * ROUNDS)
    assert foreign == 0, some
