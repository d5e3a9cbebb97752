"""A collector that is absent, hangs or refuses costs the work nothing, an exit a few seconds, and the log a line a minute."""

import json
import logging
import re
import statistics
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from opentelemetry import trace

from tests.support.brokers import Broker
from tests.support.celery_app import make_app
from tests.support.lines import Line
from tests.support.otlp import Collector, otlp_collector
from tests.support.ports import reserved_port
from tests.support.processes import ROOT, Processes, clean_environ, run_python
from tests.support.tracing import opentelemetry_on
from tests.support.waiting import wait_until

WORK = """
import time
from opentelemetry import metrics
from dtx_telemetry import get_logger, init_telemetry, operation
init_telemetry()
log = get_logger("app")
picks = metrics.get_meter("app").create_counter("picks")

def work(count, pause_each=50):
    for number in range(count):
        with operation("work"):
            log.info("picked", number=number)
            picks.add(1)
        if number % pause_each == 0:
            time.sleep(0.01)
"""
SIGNALS = {"traces", "metrics", "logs"}
#: Exports begin at once, and again and again.
DELAYS = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_BLRP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "100"}

#: What one export is given: who waits for it is late by much more than a busy machine makes anybody.
PATIENT = {"OTEL_EXPORTER_OTLP_TIMEOUT": "170"}


@contextmanager
def broken(mode: str) -> Iterator[Collector]:
    """A collector that fails in this way."""
    with otlp_collector() as collector:
        if mode == "refuse":
            collector.http_port = collector.grpc_port = reserved_port()
        elif mode == "unknown host":
            collector.host = "collector.invalid"
        elif mode == "no TLS":
            collector.scheme = "https"
        elif mode == "late":
            collector.mode, collector.seconds = "slow", 30
        else:
            collector.mode = mode
        yield collector


class Worked:
    """A process that has done its work, whose lines go to a file: it must not wait for whoever reads them.

    Attributes:
        ended_after: seconds from the end of its work to its own.
        lines: what it logged.
    """

    def __init__(self, folder: Path, collector: Collector, protocol: str) -> None:
        given = {**DELAYS, **collector.environ(protocol), **PATIENT}
        environ = clean_environ(LOG_FORMAT="json", LOG_STREAM="stderr", **given)
        log = folder / f"{uuid.uuid4().hex}.log"
        with log.open("w") as stderr:
            command = [sys.executable, "-c", f"{WORK}\nwork(3000)\nprint('DONE', flush=True)"]
            with subprocess.Popen(command, env=environ, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True) as process:
                try:
                    said = process.stdout
                    assert said is not None
                    assert said.readline() == "DONE\n"
                    start = time.monotonic()
                    assert process.wait(180) == 0
                    self.ended_after = time.monotonic() - start
                finally:
                    process.kill()
        self.lines = log.read_text()


FAULTS = [
    ("refuse", "http/protobuf"),
    ("refuse", "grpc"),
    ("hang", "http/protobuf"),
    ("hang", "grpc"),
    ("unavailable", "http/protobuf"),
    pytest.param("unavailable", "grpc", marks=pytest.mark.slow),
    pytest.param("late", "http/protobuf", marks=pytest.mark.slow),
    pytest.param("late", "grpc", marks=pytest.mark.slow),
    pytest.param("unknown host", "http/protobuf", marks=pytest.mark.slow),
    pytest.param("unknown host", "grpc", marks=pytest.mark.slow),
    pytest.param("no TLS", "http/protobuf", marks=pytest.mark.slow),
    pytest.param("no TLS", "grpc", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("mode", "protocol"), FAULTS)
def test_an_exit_does_not_wait_for_the_collector(tmp_path: Path, mode: str, protocol: str) -> None:
    """However much of all three signals waits; nothing is raised, and the complaints are one line a minute from each logger.

    It takes five seconds at most, or ten times that on a busy machine.
    """
    with broken(mode) as collector:
        worked = Worked(tmp_path, collector, protocol)
        assert collector.signals == (set() if mode in {"refuse", "unknown host", "no TLS"} else SIGNALS)

    assert worked.ended_after < 50
    assert "Traceback" not in worked.lines
    assert "telemetry_failed" not in worked.lines
    complaints = Counter(re.findall(r'"logger":"(opentelemetry[^"]*)"', worked.lines))
    assert all(count == 1 for count in complaints.values()), complaints


SERVE = """
import json, statistics, sys, time
from django.test import RequestFactory
from tests.project.tasks import echo
from tests.project.wsgi import application

environ = RequestFactory().get("/api/tournaments/5/").environ

def request():
    response = application(dict(environ), lambda *args: None)
    b"".join(response)
    response.close()

def measure(work, count):
    times = []
    for _ in range(count):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return [statistics.median(times), max(times)]

for line in sys.stdin:
    print(json.dumps([measure(request, int(line)), measure(echo.apply, int(line))]), flush=True)
"""


class Server:
    """A process that serves requests and runs tasks when it is asked to; its lines go nowhere."""

    def __init__(self, collector: Collector, protocol: str) -> None:
        environ = clean_environ(LOG_FORMAT="json", LOG_STREAM="stderr", PYTHONHASHSEED="0", **DELAYS)
        environ |= collector.environ(protocol, **PATIENT)
        command = [sys.executable, "-c", SERVE]
        self.process = subprocess.Popen(
            command, env=environ, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.measure(3000)  # more than the queues hold

    def measure(self, count: int) -> list[list[float]]:
        """Return the usual and the longest time in seconds, of requests and of tasks."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        found: list[list[float]] = json.loads(self.process.stdout.readline())
        return found


def slower_by(modes: list[str], protocol: str) -> dict[str, float]:
    """Return by mode how many times as long as beside a healthy collector a request takes, or a task, whichever is worse.

    The processes take turns, and neighbouring rounds are compared: whatever else the machine does, it does to all of them.
    """
    ratios: dict[str, list[list[float]]] = {mode: [] for mode in modes}
    with ExitStack() as stack:
        servers = {}
        for mode in ("accept", *modes):
            servers[mode] = Server(stack.enter_context(broken(mode)), protocol)
            stack.enter_context(servers[mode].process)
            stack.callback(servers[mode].process.kill)
        for _ in range(30):
            times = {mode: server.measure(60) for mode, server in servers.items()}
            for mode in modes:
                assert max(longest for _, longest in times[mode]) < 50  # see PATIENT
                pairs = zip(times[mode], times["accept"], strict=True)
                ratios[mode].append([usual / healthy for (usual, _), (healthy, _) in pairs])
    return {mode: max(map(statistics.median, zip(*found, strict=True))) for mode, found in ratios.items()}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_work_takes_as_long_as_beside_a_healthy_collector(protocol: str) -> None:
    """A tenth more at most, for a request and for a task, while the queues are full of what is not sent.

    Two processes that do the same may differ by half of that for as long as they run, so others are asked where they do.
    """
    modes, found = ["refuse", "hang", "unavailable", "slow", "late"], []
    for _ in range(3):
        found.append(slower_by(modes, protocol))
        modes = [mode for mode in modes if found[-1][mode] > 1.1]
        if not modes:
            return
    pytest.fail(f"so many times as long: {found}")


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_memory_is_bounded(protocol: str) -> None:
    """Where the collector never answers: the spans, records and measurements of ten minutes with fifty requests a second.

    All that waits is a few thousand of each. Were all of it kept, it would be ten times as much as is allowed here.
    """
    code = """
import os, psutil
work(6000, 500)
before = psutil.Process().memory_info().rss
work(30000, 500)
print(psutil.Process().memory_info().rss - before, flush=True)
os._exit(0)
"""
    with broken("hang") as collector:
        environ = {**DELAYS, "OTEL_EXPORTER_OTLP_TIMEOUT": "1", **collector.environ(protocol)}
        grown = int(run_python(f"{WORK}{code}", LOG_STREAM="stderr", **environ))

    assert collector.requests > 6
    assert collector.signals == SIGNALS
    assert grown < 30 * 2**20


def test_a_full_queue_keeps_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is dropped. The SDK says so once a minute: it would for each span, and take longer than all that we do."""
    warnings: list[str] = []

    class Noted(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            warnings.append(record.getMessage())
            return True

    sdk, noted = logging.getLogger("opentelemetry.sdk._shared_internal"), Noted()
    monkeypatch.setattr(sdk, "filters", [noted, *sdk.filters])
    small = {"OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8", "OTEL_BSP_SCHEDULE_DELAY": "10"}
    with opentelemetry_on(monkeypatch, **small) as traced:
        traced.collector.mode = "hang"
        spans = trace.get_tracer("app")
        spans.start_span("on its way").end()
        wait_until(lambda: "traces" in traced.collector.signals)
        for number in range(20):
            spans.start_span(str(number)).end()
        traced.collector.mode = "accept"
        traced.collector.released.set()
        names = {span.name for span in traced.flushed().spans}

    assert names == {"on its way", *map(str, range(12, 20))}
    assert warnings == ["Queue full, dropping Span."]


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_collector_that_is_killed_and_comes_back_gets_what_is_new(processes: Processes, protocol: str) -> None:
    """Nobody has to be restarted. All three signals arrive again, and each logger complains once a minute at most."""
    ports = {"http_port": reserved_port(), "grpc_port": reserved_port()}
    collecting = COLLECTING.format(**ports)
    environ = Collector(**ports).environ(protocol, **DELAYS, OTEL_EXPORTER_OTLP_TIMEOUT="1")
    first = processes.python("-c", collecting)
    process = processes.python("-c", f"{WORK}\nwhile True: work(51)", env=environ)
    first.wait_for(has_all)
    first.kill()
    process.wait_for_text("opentelemetry.exporter")  # it has complained
    second = processes.python("-c", collecting)
    second.wait_for(has_all)
    assert process.stop() != 0
    assert second.lines

    said: dict[str, list[float]] = {}
    for line in process.lines:
        if line["logger"].startswith("opentelemetry"):
            said.setdefault(line["logger"], []).append(timestamp(line["timestamp"]))
    assert said
    assert all(two - one >= 60 for times in said.values() for one, two in pairwise(times)), said


COLLECTING = """
import json, time
from tests.support.otlp import otlp_collector

with otlp_collector(http_port={http_port}, grpc_port={grpc_port}) as collector:
    while True:
        found = {{"spans": len(collector.spans), "records": len(collector.records), "points": len(collector.points)}}
        print(json.dumps(found), flush=True)
        time.sleep(0.1)
"""


def has_all(line: Line) -> bool:
    return all(line[what] for what in ("spans", "records", "points"))


def test_a_recycled_child_does_not_wait_for_the_collector(processes: Processes, valkey: Broker) -> None:
    """Another one waits to take its place. Celery takes some seconds to make that one, and a busy machine more."""
    with broken("hang") as collector:
        processes.environ.update(valkey.environ, **collector.environ(), OTEL_EXPORTER_OTLP_TIMEOUT="120")
        del processes.environ["DJANGO_SETTINGS_MODULE"]
        args = ("-P", "prefork", "-c", "1", "--max-tasks-per-child", "1")
        worker = processes.python("-m", "celery", "-A", "tests.plain_app", "worker", *args)
        worker.wait_for_text("ready.")
        with make_app(valkey) as app:
            for _ in range(3):
                app.send_task("tests.plain_app.tasks.echo", ignore_result=True)
        worker.wait_for_event("task_completed", count=3)

    ends = [timestamp(line["timestamp"]) for line in worker.lines if line["event"] == "task_completed"]
    starts = [timestamp(line["timestamp"]) for line in worker.lines if line["event"] == "task_started"]
    waits = [start - end for start, end in zip(starts[1:], ends, strict=False)]
    assert max(waits) < 60  # it is 120 if the exporter is waited for


def timestamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


WRONG_ADDRESSES = {
    "a signal's path in the base": (
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "{0}/v1/traces"},
        "/v1/traces/v1/traces",
        "OTEL_EXPORTER_OTLP_ENDPOINT is the base for all signals: write it without /v1/traces.",
    ),
    "no path in a signal's own": (
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "{0}"},
        "",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is used as it stands: write it with its path, /v1/traces.",
    ),
    "another service": ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "{0}/api/spans"}, "/api/spans", None),
}


@pytest.mark.parametrize(("variables", "path", "hint"), WRONG_ADDRESSES.values(), ids=WRONG_ADDRESSES)
def test_a_wrong_address_is_told_and_the_usual_mistakes_in_words(
    variables: dict[str, str], path: str, hint: str | None
) -> None:
    """A collector answers 404; the SDK's own line names neither the address nor the variable."""
    with otlp_collector(protocols="http") as collector:
        base = f"http://127.0.0.1:{collector.http_port}"
        environ = {**collector.environ(), **{name: value.format(base) for name, value in variables.items()}}
        said = run_python(f"{WORK}\nwork(1)", LOG_FORMAT="json", **environ)

    lines = [json.loads(line) for line in said.splitlines()]
    (line,) = [line for line in lines if "404" in line["event"] and "spans" in line["event"]]
    assert line["endpoint"] == base + path
    assert line.get("hint") == hint
    assert "Traceback" not in said


def test_an_addresss_password_is_not_told() -> None:
    """It is shown as any address on a line is."""
    with otlp_collector(protocols="http") as collector:
        endpoint = f"http://user:hunter2@127.0.0.1:{collector.http_port}/nothing"
        environ = {**collector.environ(), "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint}
        said = run_python(f"{WORK}\nwork(1)", LOG_FORMAT="json", **environ)

    assert "404" in said
    assert "hunter2" not in said
