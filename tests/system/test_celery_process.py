"""Workers and beat as users start them: their own lines, their options, and what survives a crash."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import VERSION, Celery

from dtx_telemetry import bind_fields
from tests.support.brokers import Broker
from tests.support.celery_app import make_app
from tests.support.lines import parse_lines, with_event, with_fields
from tests.support.processes import Process, Processes, run_python
from tests.support.waiting import wait_until

IDS = {"request.id": "req-1", "user.id": 7}
TASKS = "tests.plain_app.tasks."
STOCK_LINE = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}: [A-Z]+/\w+\] ")


@pytest.fixture
def plain(processes: Processes, filesystem: Broker) -> Processes:
    """Processes of the app that has no Django, with a folder as broker."""
    processes.environ.update(filesystem.environ)
    del processes.environ["DJANGO_SETTINGS_MODULE"]
    return processes


@pytest.fixture
def app(filesystem: Broker) -> Iterator[Celery]:
    """Publishes to those processes."""
    with make_app(filesystem) as app:
        yield app


def publish(app: Celery, name: str, *args: Any, **options: Any) -> str:
    with bind_fields(**IDS):
        task_id: str = app.send_task(f"{TASKS}{name}", args, **options).id
    return task_id


def worker(processes: Processes, *args: str, **options: Any) -> Process:
    return processes.worker(*args, app="tests.plain_app", **options)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_every_line_of_a_worker_is_json_and_there_once(plain: Processes, app: Celery, pool: str) -> None:
    """From the banner to the end: the worker's own, our events about each task, and what a task prints, with its ids."""
    process = worker(plain, pool=pool)
    banner = len(process.other)
    task_id = publish(app, "say", "hello there")
    process.wait_for_event("task_completed")
    process.stop()
    printed = with_event(process.lines, "hello there")
    assert [(line["level"], line["logger"], line["request.id"], line["task.id"]) for line in printed] == [
        ("warning", "celery.redirected", "req-1", task_id)
    ]
    assert [text for text in process.other[banner:] if text.strip()] == ["worker: Warm shutdown (MainProcess)"]
    for start in ("celery@", "task_started", "task_completed"):
        assert len([line for line in process.lines if line["event"].startswith(start)]) == 1, start
    assert with_fields(process.lines, event="task_started", task_id=task_id)[0]["service" if pool == "prefork" else "event"]


def test_a_given_loglevel_wins(plain: Processes, app: Celery) -> None:
    """``--loglevel`` is the level, whatever ``LOG_LEVEL`` says."""
    plain.environ["LOG_LEVEL"] = "WARNING"
    process = worker(plain, "--loglevel", "DEBUG")
    publish(app, "echo")
    process.wait_for_event("task_completed")
    assert [line for line in process.lines if line["level"] == "debug"]


def test_without_one_the_setting_holds(plain: Processes, app: Celery) -> None:
    """Celery's own default of WARNING is not taken for a choice."""
    process = worker(plain)
    publish(app, "echo")
    process.wait_for_event("task_completed")
    assert [line for line in process.lines if line["event"].endswith(" ready.") and line["level"] == "info"]


def test_a_quiet_level_is_quiet(plain: Processes, app: Celery) -> None:
    """With ``--loglevel ERROR`` only errors are printed."""
    process = plain.python("-m", "celery", "-A", "tests.plain_app", "worker", "-P", "solo", "-l", "ERROR")
    task_id = publish(app, "fail")
    process.wait_for_event("task_failed", task_id=task_id)
    assert {line["level"] for line in process.lines} == {"error"}


def test_a_logfile_gets_the_lines(plain: Processes, app: Celery, tmp_path: Path) -> None:
    """With ``--logfile`` the lines go there, as JSON, what children of the pool say too, and nothing to stdout."""
    path = tmp_path / "worker-%n.log"
    process = plain.python(
        "-m", "celery", "-A", "tests.plain_app", "worker", "-P", "prefork", "-c", "1", "-n", "w1@host", "--logfile", str(path)
    )
    task_id = publish(app, "echo")
    app_log = tmp_path / "worker-w1.log"
    wait_for_line(app_log, "task_completed")
    process.stop()
    assert process.lines == []
    lines = parse_lines(app_log.read_text())
    assert {"task_started", "echo", "task_completed"} <= {line["event"] for line in with_fields(lines, task_id=task_id)}


def wait_for_line(path: Path, event: str) -> None:
    from tests.support.waiting import wait_until

    wait_until(lambda: path.exists() and f'"{event}"' in path.read_text(), what=event)


def test_switched_off_a_worker_logs_as_celery_does(plain: Processes, app: Celery) -> None:
    """With ``TELEMETRY_ENABLED=false`` its lines are Celery's, in Celery's format and place, printing included."""
    process = worker(plain, "-l", "INFO", env={"TELEMETRY_ENABLED": "false"})
    task_id = publish(app, "say", "hello there")
    process.wait_for_text(f"Task {TASKS}say[{task_id}] succeeded")
    process.stop()
    assert process.lines == []
    printed = [text for text in process.errors if "hello there" in text]
    assert len(printed) == 1
    assert STOCK_LINE.match(printed[0])
    assert not [text for text in process.errors if "task_started" in text]


def test_a_wrong_setting_stops_the_start(plain: Processes) -> None:
    """A worker with ``LOG_LEVEL=LOUD`` does not start, and says what is accepted."""
    process = plain.python("-m", "celery", "-A", "tests.plain_app", "worker", env={"LOG_LEVEL": "LOUD"})
    assert process.wait() != 0
    assert "LOG_LEVEL is 'LOUD'; accepted: " in process.text


@pytest.mark.parametrize("command", ["worker", "beat"])
def test_a_logfile_that_cannot_be_opened_stops_the_start(plain: Processes, tmp_path: Path, command: str) -> None:
    """A worker, or beat, whose lines would go nowhere does not start."""
    path = tmp_path / "nowhere" / "celery.log"
    process = plain.python("-m", "celery", "-A", "tests.plain_app", command, "--logfile", str(path))
    assert process.wait() != 0
    assert str(path) in process.text


def test_a_single_name_in_imports_is_one_module(plain: Processes, app: Celery) -> None:
    """``imports`` may be a string for Celery; also a child that is a fresh interpreter then imports that module, and us."""
    plain.environ["DTX_TEST_CELERY"] = json.dumps({"imports": "tests.plain_app.tasks", "worker_pool_start_method": "spawn"})
    process = worker(plain, pool="prefork", concurrency=1)
    task_id = publish(app, "echo")
    assert process.wait_for_event("task_completed", task_id=task_id)["request.id"] == "req-1"


LEFT_ALONE = """
import logging, sys
from celery import VERSION, Celery
from celery.contrib.testing.worker import start_worker
import dtx_telemetry.celery
from dtx_telemetry import bind_fields, init_telemetry

app = Celery("plain", broker="memory://", backend="cache+memory://")
app.conf.worker_hijack_root_logger = False
app.log.loglevel = 0

@app.task
def work():
    logging.getLogger("app").warning("worked")

root = logging.getLogger()
root.addHandler(logging.StreamHandler(sys.stdout))
root.handlers[0].setFormatter(logging.Formatter("mine %(name)s %(message)s"))
if {calls_init}:
    init_telemetry()
before = root.level, list(root.handlers)
with start_worker(app, perform_ping_check=False, loglevel=0), bind_fields(**{{"request.id": "req-1"}}):
    work.delay().get(timeout=180)
    print("same" if (root.level, list(root.handlers)) == before else "changed")
"""


@pytest.mark.parametrize("calls_init", [False, True])
def test_without_hijacking_logging_is_the_applications(calls_init: bool) -> None:
    """With ``worker_hijack_root_logger = False`` and no Django the worker's logging is ours only after `init_telemetry`."""
    output = run_python(LEFT_ALONE.format(calls_init=calls_init), LOG_FORMAT="json").splitlines()
    if calls_init:
        lines = [json.loads(text) for text in output if text.startswith("{")]
        assert with_event(lines, "worked", request_id="req-1")
        assert not [text for text in output if text.startswith("mine")]
    else:
        assert "same" in output
        assert "mine app worked" in output
        assert not [text for text in output if text.startswith("{")]


def test_beat_logs_json_and_its_tasks_join_up(plain: Processes, tmp_path: Path) -> None:
    """Every line of beat is JSON; a task that it publishes has its own id as ``request.id``, here and in the worker."""
    schedule = {"every": {"task": f"{TASKS}echo", "schedule": 0.2}}
    plain.environ["DTX_TEST_CELERY"] = json.dumps({"beat_schedule": schedule})
    process = worker(plain)
    beat = plain.python("-m", "celery", "-A", "tests.plain_app", "beat", "-l", "DEBUG", "-s", str(tmp_path / "schedule"))
    published = beat.wait_for_event("task_published")
    assert published["request.id"] == published["task.id"]
    process.wait_for_event("task_completed", task_id=published["task.id"], request_id=published["task.id"])
    beat.stop()
    assert with_fields(beat.lines, logger="celery.beat", level="info")
    assert not [text for text in beat.other if text.startswith(("[", "Traceback"))]


def test_each_child_of_one_task_ends_it_once(plain: Processes, app: Celery) -> None:
    """With ``max_tasks_per_child`` of 1 every task has a process of its own, and its lines as ever."""
    process = worker(plain, "--max-tasks-per-child", "1", pool="prefork")
    ids = [publish(app, "echo") for _ in range(5)]
    process.wait_for_event("task_completed", count=5)
    process.stop()
    for task_id in ids:
        lines = with_fields(process.lines, task_id=task_id, request_id="req-1")
        assert [line["event"] for line in lines if line["event"].startswith("task_")] == [
            "task_started",
            "task_completed",
        ]


def test_a_task_that_is_delivered_again_keeps_its_id(plain: Processes, rabbitmq: Broker) -> None:
    """A worker that is killed with a task acknowledged late: the next one runs it under the same id."""
    plain.environ.update(rabbitmq.environ)
    plain.environ["DTX_TEST_CELERY"] = json.dumps({"task_acks_late": True})
    first = worker(plain, pool="prefork")
    with make_app(rabbitmq) as app:
        task_id = publish(app, "sleep", 1)
    first.wait_for_event("task_started", task_id=task_id)
    first.kill()
    second = worker(plain)
    closing = second.wait_for_event("task_completed", task_id=task_id)
    assert (closing["request.id"], closing["user.id"]) == ("req-1", 7)


def test_error_callbacks_of_a_killed_task_have_its_id(plain: Processes, app: Celery) -> None:
    """The worker itself publishes them, with nothing bound: they run under the killed task's request, a chord's too."""
    plain.environ["DTX_TEST_CELERY"] = json.dumps({"worker_lost_wait": 0.5})
    process = worker(plain, pool="prefork")
    told = app.signature(f"{TASKS}told")
    killed = app.signature(f"{TASKS}sleep", args=(60,), immutable=True, app=app)
    with bind_fields(**IDS):
        killed.clone().set(time_limit=1, link_error=told).apply_async()
        app.signature(f"{TASKS}kill", immutable=True).set(link_error=told).apply_async()
    lines = process.wait_for_lines(
        lambda line: line["event"] == "task_started" and line["task.name"] == f"{TASKS}told", count=2
    )
    # Celery may report a hard limit twice, and then calls back twice.
    assert {(line["request.id"], line["user.id"]) for line in lines} == {("req-1", 7)}
    assert with_fields(process.lines, logger="multiprocessing", level="error"), "what the pool says about its lost child"


def test_a_failure_that_leaves_a_childs_tracer_is_told_once(plain: Processes, app: Celery) -> None:
    """A task's ``on_failure`` fails: the child says so, the worker gets the exception from it and has nothing to add."""
    process = worker(plain, pool="prefork", concurrency=1)
    task_id = publish(app, "fail_to_say")
    process.wait_for_event("task_failed", task_id=task_id)
    process.wait_for_event("task_completed", task_id=publish(app, "echo"))
    process.stop()
    told = [line for line in process.lines if line["level"] == "error"]
    assert [(line["event"], line["error"]) for line in told] == [("task_failed", "LookupError: nobody to tell")]


@pytest.mark.parametrize(
    ("name", "sent", "ended"),
    [("catch_limit", "SIGUSR1", "completed"), ("sleep", "SIGUSR1", "failed"), ("sleep", "SIGINT", "completed")],
)
def test_a_task_that_outlives_its_termination_ends_itself(
    plain: Processes, rabbitmq: Broker, name: str, sent: str, ended: str
) -> None:
    """``revoke(terminate=True)`` with a signal that the task can answer, or does not get: one closing event, of its own."""
    plain.environ.update({**rabbitmq.environ, "DTX_TEST_CELERY": json.dumps({"worker_enable_remote_control": True})})
    with make_app(rabbitmq, worker_enable_remote_control=True) as app:
        process = worker(plain, pool="prefork")
        task_id = publish(app, name, *([4] if name == "sleep" else []))
        process.wait_for_event("task_started", task_id=task_id)
        wait_until(lambda: task_id in str(app.control.revoke(task_id, terminate=True, signal=sent, reply=True)))
        process.wait_for_event(f"task_{ended}", task_id=task_id)
        process.stop()
    told = [line["event"] for line in with_fields(process.lines, task_id=task_id) if line["event"].startswith("task_")]
    assert told == ["task_started", f"task_{ended}"]


def test_children_that_are_not_forked_log_the_same(plain: Processes, app: Celery) -> None:
    """A pool whose children are fresh interpreters, as on macOS: the worker's level, JSON, what is printed, the ids."""
    plain.environ["DTX_TEST_CELERY"] = json.dumps({"worker_pool_start_method": "spawn"})
    process = worker(plain, "-l", "DEBUG", pool="prefork", concurrency=1)
    banner = len(process.other)
    task_id = publish(app, "say", "hello there")
    process.wait_for_event("task_completed", task_id=task_id)
    process.stop(signal.SIGTERM)
    assert with_event(process.lines, "hello there", task_id=task_id, request_id="req-1", level="warning")
    assert with_event(process.lines, "said", task_id=task_id, level="debug")
    assert [text for text in process.other[banner:] if text.strip()] == ["worker: Warm shutdown (MainProcess)"]


@pytest.mark.skipif(VERSION < (5, 7), reason="Celery has it from 5.7 on")
def test_retrying_a_lost_task_is_told_by_the_worker(plain: Processes, app: Celery) -> None:
    """With ``retry_on_worker_lost`` the worker publishes the task again: a ``task_retried``, and the same id."""
    plain.environ["DTX_TEST_CELERY"] = json.dumps({"worker_lost_wait": 0.5})
    process = worker(plain, pool="prefork")
    task_id = publish(app, "kill_once")
    process.wait_for_event("task_completed", task_id=task_id)
    events = [line for line in with_fields(process.lines, task_id=task_id) if line["event"].startswith("task_")]
    assert {line["request.id"] for line in events} == {"req-1"}
    assert {line["user.id"] for line in events if line["event"] != "task_published"} == {7}
    retried = with_event(events, "task_retried")
    assert [line["error"].partition(":")[0] for line in retried] == ["WorkerLostError"]
    assert not with_event(events, "task_failed")
