"""Nothing is lost when processes fork, recycle or end: what a collector has of servers, workers and commands in the end."""

import concurrent.futures
import http.client
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.support.brokers import Broker
from tests.support.celery_app import make_app
from tests.support.database import Database
from tests.support.otlp import Collector, otlp_collector
from tests.support.processes import STOPPED_EARLY, Process, Processes, run_python
from tests.support.waiting import wait_until

PROTOCOLS = ["http/protobuf", "grpc"]
REQUESTS = 40
PATH = "/api/tournaments/5/"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with otlp_collector() as collector:
        yield collector


@pytest.fixture
def running(processes: Processes, collector: Collector, database: Database) -> Processes:
    """Processes that send to the collector, and only at their end or when there is very much."""
    processes.environ.update(collector.environ(), DTX_TEST_DB=str(database.path), OTEL_BSP_SCHEDULE_DELAY="60000")
    processes.environ.update(OTEL_BLRP_SCHEDULE_DELAY="60000")
    return processes


def ask(port: int, path: str = PATH) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=180)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse().status
    finally:
        connection.close()


def check_requests(collector: Collector, count: int = REQUESTS) -> None:
    """Each request is one span, one closing record and one measurement, and each process an instance of its own."""
    spans = collector.wait_for_spans(count, kind="SERVER")
    records = collector.wait_for_records(count, body="request_completed")
    points = [point for point in collector.points if point.name == "http.server.request.duration"]
    assert (len(spans), len(records)) == (count, count)
    assert {record.span_id for record in records} == {span.span_id for span in spans}
    counted = Counter[str]()
    for point in points:
        instance = point.resource["service.instance.id"]
        counted[instance] = max(counted[instance], point.count)
    assert counted == Counter(span.resource["service.instance.id"] for span in spans)


SERVERS: dict[str, Callable[[Processes], Process]] = {
    "gunicorn sync": lambda running: running.gunicorn("--workers", "2", "--max-requests", "7"),
    "gunicorn preload": lambda running: running.gunicorn("--workers", "2", "--preload", "--max-requests", "7"),
    "gunicorn gthread": lambda running: running.gunicorn("-k", "gthread", "--threads", "4"),
    "gunicorn gevent": lambda running: running.gunicorn("-k", "gevent"),
    "uvicorn": lambda running: running.uvicorn(),
    "uvicorn workers": lambda running: running.uvicorn("--workers", "2"),
    "runserver": lambda running: running.manage("runserver", "0"),
}


@pytest.mark.parametrize("name", SERVERS)
def test_a_servers_requests_all_arrive(running: Processes, collector: Collector, name: str) -> None:
    """Also where its workers are forked after set-up, or recycled, and where the server is stopped right after."""
    server = SERVERS[name](running)
    port = server.wait_for_port()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: ask(port), range(REQUESTS))) == {200}
    if name == "runserver":  # as Ctrl-C does it, to the reloader and its child
        os.killpg(server.pid, signal.SIGINT)
        server.wait()
    else:
        server.stop()

    check_requests(collector)


@pytest.mark.parametrize("name", STOPPED_EARLY)
def test_a_request_that_a_stopped_server_does_not_wait_for_arrives(running: Processes, collector: Collector, name: str) -> None:
    """It ends before the last export, whichever of both was prepared first: a server logs before its first request."""
    running.environ["DTX_TEST_SETTINGS"] = json.dumps({"ROOT_URLCONF": "tests.project.http_urls", "USE_TZ": True})
    server = STOPPED_EARLY[name](running)
    port = server.wait_for_port()
    path = "/http/slow/" if name.startswith("gunicorn") else "/http/async/slow/"
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(ask, port, f"{path}?seconds=120")
        server.wait_for_event("waiting")
        server.stop(signal.SIGQUIT if name == "gunicorn gevent" else signal.SIGTERM)

    (span,) = collector.wait_for_spans(kind="SERVER")
    (record,) = collector.wait_for_records(body="request_cancelled")
    assert (record.trace_id, record.span_id) == (span.trace_id, span.span_id)


def publish(broker: Broker, count: int, task: str = "tests.plain_app.tasks.echo") -> None:
    with make_app(broker) as app:
        for _ in range(count):
            app.send_task(task, ignore_result=True)


def plain_worker(running: Processes, broker: Broker, *args: str) -> Process:
    """Start a worker of the app that has no Django."""
    running.environ.update(broker.environ)
    running.environ["DTX_TEST_CELERY"] = json.dumps({"task_ignore_result": True, "result_backend": "disabled://"})
    del running.environ["DJANGO_SETTINGS_MODULE"]
    worker = running.python("-m", "celery", "-A", "tests.plain_app", "worker", *args)
    worker.wait_for_text("ready.")
    return worker


def check_tasks(collector: Collector, worker: Process, count: int, *, deadline: float = 200) -> None:
    """Each task is one span and one closing record, and what was lost would be missing.

    A child that Celery's worker forgot to tell, while it shuts down, that its result was read waits for 30 seconds.
    """
    worker.wait_for_event("task_completed", count=count, deadline=deadline)
    assert worker.stop() == 0
    spans = collector.wait_for_spans(count, kind="CONSUMER", deadline=180)
    records = collector.wait_for_records(count, body="task_completed", deadline=180)
    assert (len(spans), len(records)) == (count, count)
    assert {record.span_id for record in records} == {span.span_id for span in spans}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tasks_of_children_that_serve_one_each_all_arrive(
    running: Processes, collector: Collector, valkey: Broker, protocol: str
) -> None:
    """``max_tasks_per_child=1``, while the worker's main process exports too."""
    running.environ.update(collector.environ(protocol), OTEL_BLRP_SCHEDULE_DELAY="50")
    worker = plain_worker(running, valkey, "-P", "prefork", "-c", "4", "--max-tasks-per-child", "1")
    publish(valkey, 12)
    check_tasks(collector, worker, 12)

    counts = Counter(span.resource["service.instance.id"] for span in collector.wait_for_spans(kind="CONSUMER"))
    assert set(counts.values()) == {1}


@pytest.mark.slow
@pytest.mark.timeout(1000)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_hundreds_of_tasks_of_children_that_serve_one_each_all_arrive(
    running: Processes, collector: Collector, valkey: Broker, protocol: str
) -> None:
    """250 spans and as many records, each from a process of its own."""
    running.environ.update(collector.environ(protocol), OTEL_BLRP_SCHEDULE_DELAY="500")
    worker = plain_worker(running, valkey, "-P", "prefork", "-c", "4", "--max-tasks-per-child", "1")
    publish(valkey, 250)
    check_tasks(collector, worker, 250, deadline=800)


@pytest.mark.parametrize("pool", ["threads", "solo", "gevent", "prefork"])
def test_a_workers_tasks_all_arrive(running: Processes, collector: Collector, valkey: Broker, pool: str) -> None:
    """In each pool, when the worker is stopped."""
    worker = plain_worker(running, valkey, "-P", pool, "-c", "2")
    publish(valkey, 20)
    check_tasks(collector, worker, 20)


class TestGrpcUnderGevent:
    """Where gRPC waits for the collector, other greenlets run."""

    def test_a_servers_requests_all_arrive(self, running: Processes, collector: Collector) -> None:
        """As they do over HTTP."""
        running.environ.update(collector.environ("grpc"))
        server = running.gunicorn("-k", "gevent", "--workers", "2")
        port = server.wait_for_port()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            assert set(pool.map(lambda _: ask(port), range(REQUESTS))) == {200}
        server.stop()

        check_requests(collector)

    def test_a_workers_tasks_all_arrive(self, running: Processes, collector: Collector, valkey: Broker) -> None:
        """As they do over HTTP, also where the worker was idle for longer than gevent keeps the threads that gRPC waits in."""
        running.environ.update(collector.environ("grpc"), GEVENT_THREADPOOL_IDLE_TASK_TIMEOUT="0.01")
        worker = plain_worker(running, valkey, "-P", "gevent", "-c", "2")
        publish(valkey, 20)
        check_tasks(collector, worker, 20)

    def test_a_server_answers_while_the_collector_does_not(self, running: Processes, collector: Collector) -> None:
        """Its only thread would be stopped for as long as the exporter waits."""
        hang(running, collector)
        server = running.gunicorn("-k", "gevent")
        port = server.wait_for_port()
        assert ask(port) == 200
        wait_until(lambda: collector.signals == {"traces", "logs", "metrics"})
        assert ask(port) == 200
        server.stop()

    def test_a_worker_works_while_the_collector_does_not(
        self, running: Processes, collector: Collector, valkey: Broker
    ) -> None:
        """The same for tasks."""
        hang(running, collector)
        worker = plain_worker(running, valkey, "-P", "gevent", "-c", "2")
        publish(valkey, 1)
        wait_until(lambda: collector.signals == {"traces", "logs", "metrics"})
        publish(valkey, 1)
        worker.wait_for_event("task_completed", count=2, deadline=180)
        worker.stop()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_whose_gevent_patches_late_serves_and_sends(running: Processes, collector: Collector, protocol: str) -> None:
    """``--preload``: the application is loaded, and has logged, before gevent patches.

    Two greenlets that ask for a provider at once must not stop each other.
    """
    running.environ.update(collector.environ(protocol))
    server = running.gunicorn("-k", "gevent", "--preload")
    port = server.wait_for_port()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: ask(port), range(REQUESTS))) == {200}
    server.stop()

    assert len(collector.wait_for_spans(REQUESTS, kind="SERVER")) == REQUESTS


def hang(running: Processes, collector: Collector) -> None:
    """Let each export begin at once and wait for two minutes, longer than any test does."""
    collector.mode = "hang"
    running.environ.update(collector.environ("grpc"), OTEL_EXPORTER_OTLP_TIMEOUT="120", OTEL_METRIC_EXPORT_INTERVAL="100")
    running.environ.update(OTEL_BSP_SCHEDULE_DELAY="100", OTEL_BLRP_SCHEDULE_DELAY="100")


@pytest.mark.slow
@pytest.mark.parametrize("args", [("--autoscale", "3,1"), ("--max-memory-per-child", "1")], ids=["autoscale", "memory"])
def test_tasks_of_children_that_come_and_go_all_arrive(
    running: Processes, collector: Collector, valkey: Broker, args: tuple[str, ...]
) -> None:
    """By the number of tasks, or by the memory that they take."""
    worker = plain_worker(running, valkey, "-P", "prefork", *args)
    publish(valkey, 30)
    check_tasks(collector, worker, 30)


def test_a_task_that_its_hard_limit_ends_arrives_as_an_error(running: Processes, collector: Collector, valkey: Broker) -> None:
    """The child has a moment before it is killed."""
    worker = plain_worker(running, valkey, "-P", "prefork", "-c", "1", "--time-limit", "1")
    with make_app(valkey) as app:
        app.send_task("tests.plain_app.tasks.sleep", (60,), ignore_result=True)
    worker.wait_for_event("task_failed")

    (span,) = collector.wait_for_spans(kind="CONSUMER")
    assert span.status == "ERROR"
    worker.stop()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_what_a_child_of_multiprocessing_makes_arrives(collector: Collector, tmp_path: object, method: str) -> None:
    """Beside what its parent makes, and with an instance of its own; the parent's measurements are not its own."""
    run_python(
        """
        import multiprocessing, os, sys
        sys.path.insert(0, os.getcwd())
        from tests.support.spanning import work

        if __name__ == "__main__":
            work("parent")
            child = multiprocessing.get_context(sys.argv[1] if len(sys.argv) > 1 else os.environ["METHOD"]).Process(
                target=work, args=("child",)
            )
            child.start()
            child.join()
            assert child.exitcode == 0
            work("parent")
        """,
        METHOD=method,
        **collector.environ(),
    )

    assert Counter(span.name for span in collector.spans) == {"command parent": 2, "command child": 1}
    assert Counter(record.body for record in collector.records) == {"parent": 2, "child": 1}
    values = {(point.attributes["consumer"], point.value) for point in collector.points}
    assert values == {("parent", 2), ("child", 1)}
    instances = {span.name: span.resource["service.instance.id"] for span in collector.spans}
    assert instances["command parent"] != instances["command child"]


def test_a_commands_span_arrives(running: Processes, collector: Collector) -> None:
    """With its lines in it."""
    command = running.manage("showmigrations", env={"LOG_STREAM": "stdout", "LOG_LEVEL": "DEBUG"})
    assert command.wait() == 0

    span = collector.span("command showmigrations")
    assert (span.kind, span.status, span.parent_id) == ("INTERNAL", "UNSET", "")
    assert span.attributes["command.name"] == "showmigrations"
    assert collector.wait_for_records(body="command_completed")[0].span_id == span.span_id


def test_a_command_that_fails_is_an_error(running: Processes, collector: Collector) -> None:
    """With the exception."""
    assert running.manage("migrate", "no_such_app", env={"LOG_LEVEL": "DEBUG"}).wait() != 0

    span = collector.span("command migrate")
    assert span.status == "ERROR"
    assert len(span.events) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_under_opentelemetry_instrument_nothing_is_doubled(running: Processes, collector: Collector, protocol: str) -> None:
    """It sets everything up before us, and before gunicorn forks: one span, record and measurement each, by its providers."""
    running.environ.update(collector.environ(protocol), OTEL_TRACES_EXPORTER="otlp", OTEL_LOGS_EXPORTER="otlp")
    running.environ.update(OTEL_METRICS_EXPORTER="otlp", OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED="true")
    command = ("gunicorn", "-b", "127.0.0.1:0", "--no-control-socket", "--workers", "2", "tests.project.wsgi:application")
    server = running.python("-c", OPENTELEMETRY_INSTRUMENT, sys.executable, "-m", *command)
    port = server.wait_for_port()
    assert [ask(port) for _ in range(20)] == [200] * 20
    assert ask(port, "/api/fail/") == 500
    server.stop()

    spans = collector.wait_for_spans(21, kind="SERVER")
    assert len(spans) == 21
    (failed,) = [span for span in spans if span.status == "ERROR"]
    assert [name for name, _ in failed.events] == ["exception"]
    assert len([record for record in collector.records if record.body == "request_completed"]) == 20
    durations = [point for point in collector.points if point.name.startswith("http.server.") and "duration" in point.name]
    counts = {
        (point.resource["service.instance.id"], str(point.attributes)): point.count for point in durations
    }  # the last of each
    assert {point.name for point in durations} == {"http.server.duration"}
    assert sum(counts.values()) == 21


# As the command of that name does it.
OPENTELEMETRY_INSTRUMENT = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
