"""Publishing a task: what goes into its message, and what is logged about it."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from celery.canvas import StampingVisitor
from celery.signals import before_task_publish
from celery.utils.dispatch import Signal
from kombu.exceptions import OperationalError
from structlog.contextvars import bind_contextvars, get_contextvars

from dtx_telemetry import bind_fields, config, context, events
from dtx_telemetry.celery import context_publishing, publishing
from dtx_telemetry.guard import signal_receiver
from tests.conftest import LogOutput
from tests.support.bad_context import bad_context
from tests.support.canvases import CANVASES
from tests.support.celery_app import make_app, messages

IDS = {"request.id": "req-1", "user.id": 7}


@pytest.fixture
def app() -> Celery:
    app = make_app()

    @app.task(name="echo", shared=False)
    def echo(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("nobody works here")

    return app


@pytest.fixture
def publish(app: Celery) -> Callable[..., dict[str, Any]]:
    """Publish the echo, and return the headers of its message."""

    def publish(*args: Any, **options: Any) -> dict[str, Any]:
        app.tasks["echo"].apply_async(args, **options)
        return messages(app)[-1]

    return publish


@pytest.fixture
def receive() -> Iterator[Callable[[Callable[..., None]], None]]:
    """Connect receivers to ``context_publishing`` for one test."""
    connected: list[Any] = []

    def receive(receiver: Callable[..., None]) -> None:
        context_publishing.connect(receiver, weak=False)
        connected.append(receiver)

    yield receive
    for receiver in connected:
        context_publishing.disconnect(receiver)


def test_the_bound_context_goes_into_the_headers(publish: Any, log_output: LogOutput) -> None:
    """``request.id`` stands by itself for anybody to read, the rest in a dict, and the time of publishing is there."""
    before = time.time()
    with bind_fields(**IDS, labels=["draft"], hero="Invoker"):
        headers = publish()
    assert headers["request.id"] == "req-1"
    assert headers["dtx.context"] == {"user.id": 7, "labels": ["draft"], "hero": "Invoker"}
    assert before <= headers["dtx.published_at"] <= time.time()


def test_publishing_is_logged(publish: Any, log_output: LogOutput) -> None:
    """``task_published`` has the task's id, name and queue, and the publisher's context."""
    with bind_fields(**IDS):
        headers = publish()
    line = log_output.one("task_published")
    assert line["task.id"] == headers["id"]
    assert (line["level"], line["task.name"], line["request.id"], line["user.id"]) == ("info", "echo", "req-1", 7)
    assert line["task.queue"].startswith("test-")


@pytest.mark.parametrize("options", [{}, {"headers": None}, {"headers": {}}, {"headers": {"mine": 1}}])
def test_all_ways_to_give_headers_work(publish: Any, log_output: LogOutput, options: dict[str, Any]) -> None:
    """Publishing without headers, with ``None``, with none and with some of one's own works, and one's own arrive."""
    with bind_fields(**IDS):
        headers = publish(**options)
    assert headers["request.id"] == "req-1"
    assert headers.get("mine") == (options.get("headers") or {}).get("mine")


def test_the_callers_headers_are_left_alone(publish: Any, log_output: LogOutput) -> None:
    """The dict that the caller gave is as it was, so that it may be used again."""
    mine = {"mine": 1}
    with bind_fields(**IDS):
        publish(headers=mine)
    assert mine == {"mine": 1}


def test_an_id_that_was_set_by_hand_wins(publish: Any, log_output: LogOutput) -> None:
    """The caller's ``request.id`` header goes along in place of the bound one, with the rest of what is bound."""
    with bind_fields(**IDS):
        headers = publish(headers={"request.id": "by-hand"})
    assert headers["request.id"] == "by-hand"
    assert headers["dtx.context"] == {"user.id": 7}
    assert log_output.one("task_published")["request.id"] == "by-hand"


@pytest.mark.parametrize("bad", ["", "no good\n", "x" * 129, 5, None, ["a"]])
def test_a_bad_id_that_was_set_by_hand_does_not(publish: Any, log_output: LogOutput, bad: Any) -> None:
    """What is no id is replaced by the bound one."""
    with bind_fields(**IDS):
        assert publish(headers={"request.id": bad})["request.id"] == "req-1"


@pytest.mark.leaves_bound
def test_a_bound_id_that_is_none_is_replaced(publish: Any, log_output: LogOutput) -> None:
    """An application that binds a ``request.id`` of its own making gets a valid one in the message, and a warning."""
    bind_contextvars(**{"request.id": "two words"})
    headers = publish()
    assert headers["request.id"] == headers["id"]
    assert log_output.one("context_not_carried_whole")["fields"] == {"request.id": "replaced"}


@pytest.mark.leaves_bound
def test_what_the_process_itself_has_bound_stays_there(publish: Any, log_output: LogOutput) -> None:
    """Within a scope, what was bound before the outermost one and what belongs to a task do not travel."""
    bind_contextvars(service="web")
    outer = context.enter_root(events.OPERATION, {**IDS})
    inner = context.enter(events.OPERATION, {"task.id": "t-1", "task.name": "outer", "hero": "Lina"})
    headers = publish()
    inner.leave()
    outer.leave()
    assert headers["dtx.context"] == {"user.id": 7, "hero": "Lina", "scope.id": inner.own["scope.id"]}


@pytest.mark.leaves_bound
def test_outside_any_scope_everything_bound_travels(publish: Any, log_output: LogOutput) -> None:
    """A script that binds fields and publishes has them on its tasks' lines."""
    bind_contextvars(service="script", **IDS)
    assert publish()["dtx.context"] == {"service": "script", "user.id": 7}


def test_propagate_names_what_travels(publish: Any, log_output: LogOutput, settings: Any) -> None:
    """With ``PROPAGATE`` only the keys in it go along, and the id always."""
    settings.DTX_TELEMETRY = {"PROPAGATE": ["user.id"]}
    with bind_fields(**IDS, hero="Lina"):
        headers = publish()
    assert (headers["request.id"], headers["dtx.context"]) == ("req-1", {"user.id": 7})


def test_what_does_not_fit_is_left_out_and_named_once(publish: Any, log_output: LogOutput) -> None:
    """Over 4 KiB the biggest value stays behind, and one warning says which."""
    with bind_fields(**IDS, essay="x" * 5000, note="short"):
        headers = publish()
    assert headers["dtx.context"] == {"user.id": 7, "note": "short"}
    line = log_output.one("context_not_carried_whole")
    assert (line["level"], line["task.name"], line["fields"]) == ("warning", "echo", {"essay": "left out"})


def test_nothing_that_is_bound_can_stop_a_task(publish: Any, log_output: LogOutput) -> None:
    """Whatever is bound, the task is published with Celery's own headers intact, and what travels is plain."""
    with bind_fields(**IDS, **bad_context()):
        headers = publish("x", task_id="task-1")
    assert (headers["id"], headers["task"], headers["root_id"], headers["eta"]) == ("task-1", "echo", "task-1", None)
    carried = headers["dtx.context"]
    assert carried["model"] == "invoker"
    assert carried["when"] == "2026-01-15 00:00:00+00:00"
    assert carried["loop"] == {"1": 2, "self": "<dict>"}
    assert carried["id"] == "not this"
    assert carried["headers"] == {"id": "not this"}
    assert "long" not in carried
    assert log_output.one("context_not_carried_whole")["fields"]["long"] == "left out"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"countdown": 60}, "eta"),
        ({"eta": datetime.now(UTC) + timedelta(hours=1)}, "eta"),
        ({"expires": 60}, "expires"),
        ({"priority": 5}, "id"),
        ({"shadow": "other"}, "shadow"),
        ({"time_limit": 5}, "timelimit"),
        ({"ignore_result": True}, "ignore_result"),
        ({"queue": None}, "id"),
    ],
)
def test_options_of_publishing_are_untouched(
    publish: Any, log_output: LogOutput, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], expected: str
) -> None:
    """Countdown, eta, expiry, priority and the like are in the message just as they are without telemetry."""
    with bind_fields(**IDS):
        ours = publish(task_id="t", **options)
    monkeypatch.setenv("TELEMETRY_ENABLED", "false")
    config.reset()
    bare = publish(task_id="t", **options)
    assert ours.pop("request.id") == "req-1"
    assert set(ours) - set(bare) == {"dtx.context", "dtx.published_at"}
    assert ours[expected]
    for name in ("id", "task", "shadow", "timelimit", "ignore_result", "root_id", "group", "argsrepr"):
        assert ours[name] == bare[name]


def test_a_queue_of_its_own_is_named(app: Celery, log_output: LogOutput) -> None:
    """``task_published`` names the queue that the task went to."""
    app.tasks["echo"].apply_async(queue="special")
    app.send_task("echo", exchange="topical", routing_key="a.b", exchange_type="topic")
    assert [line["task.queue"] for line in log_output.events("task_published")] == ["special", "a.b"]


def test_send_task_by_name_carries_the_context(app: Celery, log_output: LogOutput) -> None:
    """A task of another code base, known by its name alone, has it too."""
    with bind_fields(**IDS):
        app.send_task("elsewhere.work")
    assert messages(app)[0]["request.id"] == "req-1"


def test_stamps_and_our_headers_live_together(app: Celery, log_output: LogOutput) -> None:
    """A stamped signature has its stamps and our headers."""

    class Stamp(StampingVisitor):
        def on_signature(self, sig: Any, **headers: Any) -> dict[str, Any]:
            return {"monitoring": "m-1", "stamped_headers": ["monitoring"]}

    signature = app.tasks["echo"].s()
    signature.stamp(Stamp())
    with bind_fields(**IDS):
        signature.apply_async()
    headers = messages(app)[0]
    assert headers["stamps"] == {"monitoring": ["m-1"]} or headers["stamps"] == {"monitoring": "m-1"}
    assert headers["request.id"] == "req-1"


def test_each_coroutine_and_thread_publishes_its_own(app: Celery, log_output: LogOutput) -> None:
    """Requests that are served at the same time do not mix."""

    async def view(number: int) -> None:
        with bind_fields(**{"request.id": f"async-{number}"}):
            await asyncio.sleep(0)
            app.tasks["echo"].delay(number)

    async def serve() -> None:
        await asyncio.gather(*map(view, range(20)))

    def work(number: int) -> None:
        with bind_fields(**{"request.id": f"thread-{number}"}):
            app.tasks["echo"].delay(number)

    asyncio.run(serve())
    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {(headers["request.id"].partition("-")[2], headers["argsrepr"]) for headers in messages(app)}
    assert found == {(str(number), f"({number},)") for number in range(20)}
    assert len(messages(app)) == 40


def test_where_nothing_is_bound_the_root_tasks_id_serves(publish: Any, log_output: LogOutput) -> None:
    """A task from a shell or beat has its own id as ``request.id``; nothing gets bound by publishing."""
    headers = publish()
    assert headers["request.id"] == headers["root_id"] == headers["id"]
    assert log_output.one("task_published")["request.id"] == headers["id"]
    assert get_contextvars() == {}


@pytest.mark.parametrize("protocol", [2, 1])
@pytest.mark.parametrize("canvas", CANVASES)
def test_where_nothing_is_bound_a_workflow_has_one_id(log_output: LogOutput, canvas: str, protocol: int) -> None:
    """All the tasks of a workflow that are published at once, whatever its form, have one ``request.id``, another each time."""
    app = make_app(task_protocol=protocol)

    @app.task(name="task", shared=False)
    def task() -> None:
        raise AssertionError("nobody works here")

    if protocol == 1 and "chain" in canvas:
        pytest.skip("the first protocol has no chains")
    ids = []
    for _ in range(2):
        before = len(messages(app))
        CANVASES[canvas].make(task.si).apply_async()
        ids.append({headers["request.id"] for headers in messages(app)[before:]})
    assert [len(each) for each in ids] == [1, 1]
    assert ids[0] != ids[1]


def test_a_message_of_somebody_elses_making_gets_an_id(log_output: LogOutput) -> None:
    """A body that is not as Celery makes them is no reason to fail: there is an id all the same."""
    for body in (None, "text", ([], {}, {"chain": "x", "chord": 5}), ([], {}, {"chain": [{"options": 3}]}), {"id": 7}):
        headers: dict[str, Any] = {}
        publishing.add_context(sender="x", headers=headers, body=body)
        assert context.valid_request_id(headers["request.id"])
    publishing.add_context(sender="celery.chord_unlock", headers=headers, body=None)
    publishing.add_context(sender="x", headers=None, body=None)
    assert log_output.lines == []


@pytest.mark.parametrize("protocol", [1, 2])
def test_both_protocols_carry_and_log_the_same(log_output: LogOutput, protocol: int) -> None:
    """The first protocol has everything in its body: id, name and context are found all the same."""
    app = make_app(task_protocol=protocol)
    with bind_fields(**IDS):
        app.send_task("work", task_id="t-1")
    headers = messages(app)[0]
    assert (headers["request.id"], headers["dtx.context"]) == ("req-1", {"user.id": 7})
    assert log_output.one("task_published")["task.id"] == "t-1"


def test_a_receiver_changes_what_travels(publish: Any, log_output: LogOutput, receive: Any) -> None:
    """A receiver of ``context_publishing`` adds, replaces and takes out fields; what is bound here stays as it is."""

    def change(sender: str, context: dict[str, Any], **_: Any) -> None:
        context["tenant"] = sender
        context["request.id"] = "replaced"
        del context["user.id"]

    receive(change)
    with bind_fields(**IDS):
        headers = publish()
        assert get_contextvars() == IDS
    assert (headers["request.id"], headers["dtx.context"]) == ("replaced", {"tenant": "echo"})


def test_a_receiver_that_fails_breaks_nothing(publish: Any, log_output: LogOutput, receive: Any) -> None:
    """Its exception, or the nonsense that it leaves, costs its own fields alone."""

    def fail(context: dict[Any, Any], **_: Any) -> None:
        context[5] = "no key"
        context["tenant"] = "dtx"
        raise RuntimeError("no mana")

    receive(fail)
    with bind_fields(**IDS):
        headers = publish()
    assert (headers["request.id"], headers["dtx.context"]) == ("req-1", {"user.id": 7, "tenant": "dtx"})


@pytest.mark.telemetry_fails
def test_a_failure_of_telemetry_costs_the_fields_and_a_line(
    publish: Any, log_output: LogOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should the library itself fail, the task is published without our headers, and one line tells why."""
    monkeypatch.setattr(context, "carry_out", lambda _: 1 / 0)
    assert "request.id" not in publish()
    assert log_output.one("telemetry_failed")["error"].startswith("ZeroDivisionError")


def test_a_receiver_gets_what_it_names() -> None:
    """Whatever else a signal says; what it does not say is None."""
    got: list[Any] = []

    @signal_receiver
    def receive(sender: Any, reason: Any) -> None:
        got.append((sender, reason))

    signal = Signal(name="something", providing_args=["more"])
    signal.connect(receive, weak=False)
    signal.send("me", more=5)
    assert got == [("me", None)]


def test_a_task_that_could_not_be_published_is_not_logged_as_such(log_output: LogOutput) -> None:
    """The broker is not there: the caller gets Celery's exception, and no line says that the task was published."""
    app = make_app(broker_transport_options={"max_retries": 0}, task_publish_retry=False)
    app.conf.broker_url = "redis://127.0.0.1:1/0"
    with bind_fields(**IDS), pytest.raises(OperationalError):
        app.send_task("work")
    assert log_output.events("task_published") == []
    assert get_contextvars() == {}


def test_switched_off_nothing_is_added_or_logged(publish: Any, log_output: LogOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``TELEMETRY_ENABLED=false`` a message is as Celery alone makes it."""
    monkeypatch.setenv("TELEMETRY_ENABLED", "false")
    config.reset()
    with bind_fields(**IDS):
        headers = publish()
    assert not [name for name in headers if name.startswith(("dtx.", "request."))]
    assert log_output.events("task_published") == []


def test_importing_again_connects_nothing_twice() -> None:
    """However often the module is imported, each receiver is there once."""
    import importlib

    import dtx_telemetry.celery

    before = len(before_task_publish.receivers)
    importlib.reload(dtx_telemetry.celery)
    assert len(before_task_publish.receivers) == before


def test_ten_thousand_characters_of_headers_are_the_most(publish: Any, log_output: LogOutput) -> None:
    """Whatever is bound, a message grows by no more than the limit and what the three headers themselves need."""
    with bind_fields(**IDS, **{f"key{n}": "x" * 500 for n in range(100)}):
        headers = publish()
    ours = {name: headers[name] for name in ("request.id", "dtx.context", "dtx.published_at")}
    assert len(json.dumps(ours)) < 4096 + 200
