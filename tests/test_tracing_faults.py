"""A collector that is absent, hangs or refuses costs the work nothing, an exit a few seconds, and the log a line a minute."""

import re
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from .support.brokers import Broker
from .support.celery_app import make_app
from .support.otlp import Collector, otlp_collector
from .support.ports import reserved_port
from .support.processes import ROOT, Processes, clean_environ

WORK = """
import statistics, time
from dtx_telemetry import get_logger, init_telemetry, operation
init_telemetry()
log = get_logger("app")
times = []
for number in range(3000):
    start = time.perf_counter()
    with operation("work"):
        log.info("picked", number=number)
    times.append(time.perf_counter() - start)
    if number % 50 == 0:
        time.sleep(0.01)
print("MEDIAN", statistics.median(times[500:]))
print("DONE", flush=True)
"""


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
        else:
            collector.mode = mode
        yield collector


class Worked:
    """A process that has done its work, whose lines go to a file: it must not wait for whoever reads them.

    Attributes:
        median: seconds that a piece of work took.
        ended_after: seconds from the end of its work to its own.
        lines: what it logged.
    """

    def __init__(self, folder: Path, collector: Collector, protocol: str) -> None:
        delays = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_BLRP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "100"}
        environ = clean_environ(LOG_FORMAT="json", LOG_STREAM="stderr", **delays, **collector.environ(protocol))
        log = folder / f"{uuid.uuid4().hex}.log"
        with log.open("w") as stderr:
            command = [sys.executable, "-c", WORK]
            with subprocess.Popen(command, env=environ, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True) as process:
                try:
                    said = process.stdout
                    assert said is not None
                    self.median = float(said.readline().split()[1])
                    assert said.readline() == "DONE\n"
                    start = time.monotonic()
                    assert process.wait(30) == 0
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
    pytest.param("unknown host", "http/protobuf", marks=pytest.mark.slow),
    pytest.param("unknown host", "grpc", marks=pytest.mark.slow),
    pytest.param("no TLS", "http/protobuf", marks=pytest.mark.slow),
    pytest.param("no TLS", "grpc", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("mode", "protocol"), FAULTS)
def test_an_exit_takes_five_seconds_at_most(tmp_path: Path, mode: str, protocol: str) -> None:
    """However many spans wait; nothing is raised, and the complaints are one line a minute from each logger."""
    with broken(mode) as collector:
        worked = Worked(tmp_path, collector, protocol)

    assert worked.ended_after < 5
    assert "Traceback" not in worked.lines
    assert "telemetry_failed" not in worked.lines
    complaints = Counter(re.findall(r'"logger":"(opentelemetry[^"]*)"', worked.lines))
    assert all(count == 1 for count in complaints.values()), complaints


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_work_takes_as_long_as_beside_a_healthy_collector(tmp_path: Path, protocol: str) -> None:
    """Whatever the collector does; a wait for it would be many times as long, and a busy machine alone makes a quarter."""

    def median(mode: str) -> float:
        with broken(mode) as collector:
            return min(Worked(tmp_path, collector, protocol).median for _ in range(3))

    healthy = median("accept")
    assert {mode: round(median(mode) / healthy, 2) for mode in ("refuse", "hang", "slow") if median(mode) > 2 * healthy} == {}


def test_a_collector_that_comes_back_gets_what_is_new(processes: Processes) -> None:
    """Nobody has to be restarted."""
    port = reserved_port()
    environ = Collector(http_port=port).environ(OTEL_BSP_SCHEDULE_DELAY="50", OTEL_EXPORTER_OTLP_TIMEOUT="1")
    process = processes.python("-c", ASKED, env=environ)
    process.wait_for_text("opentelemetry")  # it has complained
    with otlp_collector(http_port=port, protocols="http") as collector:
        collector.wait_for_spans(5, name="operation work", deadline=30)


ASKED = """
import time
from dtx_telemetry import init_telemetry, operation
init_telemetry()
while True:
    with operation("work"):
        time.sleep(0.02)
"""


def test_a_recycled_child_is_gone_within_two_seconds(processes: Processes, valkey: Broker) -> None:
    """Another one waits to take its place."""
    with broken("hang") as collector:
        processes.environ.update(valkey.environ, **collector.environ())
        del processes.environ["DJANGO_SETTINGS_MODULE"]
        args = ("-P", "prefork", "-c", "1", "--max-tasks-per-child", "1")
        worker = processes.python("-m", "celery", "-A", "tests.plain_app", "worker", *args)
        worker.wait_for_text("ready.")
        with make_app(valkey) as app:
            for _ in range(3):
                app.send_task("tests.plain_app.tasks.echo", ignore_result=True)
        worker.wait_for_event("task_completed", count=3, deadline=40)

    ends = [timestamp(line["timestamp"]) for line in worker.lines if line["event"] == "task_completed"]
    starts = [timestamp(line["timestamp"]) for line in worker.lines if line["event"] == "task_started"]
    waits = [start - end for start, end in zip(starts[1:], ends, strict=False)]
    assert max(waits) < 6  # two, and what Celery takes to notice that a child is gone and to make another


def timestamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
