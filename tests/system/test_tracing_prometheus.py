"""``OTEL_METRICS_EXPORTER=prometheus``: a real Prometheus asks one process; of several it can ask only one, which is said."""

import urllib.request
from pathlib import Path

import httpx
import pytest

from tests.support.brokers import Broker
from tests.support.celery_app import make_app
from tests.support.otlp import otlp_collector
from tests.support.ports import reserved_port
from tests.support.processes import Process, Processes
from tests.support.prometheus import need_prometheus, running_prometheus
from tests.support.waiting import wait_until

pytest.importorskip("opentelemetry.exporter.prometheus")
PATH = "/api/tournaments/5/"


@pytest.fixture
def port(processes: Processes) -> int:
    """Where the metrics are to be had."""
    port = reserved_port()
    processes.environ |= {"OTEL_ENABLED": "true", "OTEL_METRICS_EXPORTER": "prometheus", "OTEL_TRACES_EXPORTER": "none"}
    processes.environ |= {"OTEL_LOGS_EXPORTER": "none", "OTEL_EXPORTER_PROMETHEUS_PORT": str(port)}
    return port


def metrics_at(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        text: str = response.read().decode()
    return text


def ask(address: str) -> httpx.Response:
    return httpx.get(address + PATH, timeout=180)


def served_by(server: Process, metrics: int) -> str:
    """Return the address of *server*, which listens for its own clients as well."""
    wait_until(lambda: server.ended or set(server.ports()) - {metrics}, what="the server")
    (port,) = set(server.ports()) - {metrics}
    return f"http://127.0.0.1:{port}"


SERVERS = {
    "gunicorn threads": lambda processes: processes.gunicorn("-k", "gthread", "--threads", "4"),
    "gunicorn preload": lambda processes: processes.gunicorn("--preload"),
    "uvicorn": lambda processes: processes.uvicorn(),
}


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_of_one_process_is_asked(processes: Processes, port: int, tmp_path: Path, name: str) -> None:
    """The names and labels are those of the dashboards."""
    need_prometheus()
    server = SERVERS[name](processes)
    assert ask(served_by(server, port)).status_code == 200
    with running_prometheus(tmp_path, [port]) as prometheus:
        labels = 'http_request_method="GET",http_response_status_code="200"'
        query = f"http_server_request_duration_seconds_count{{{labels}}}"
        (found,) = wait_until(lambda: prometheus.query(query))
    assert found["value"][1] == "1"
    assert found["metric"]["http_route"] == "/api/tournaments/<int:tournament_id>/"
    server.stop()


@pytest.mark.telemetry_fails
def test_of_several_workers_one_is_asked_and_the_others_say_what_to_do(processes: Processes, port: int) -> None:
    """They serve all the same."""
    server = processes.gunicorn("--workers", "2")
    address = served_by(server, port)
    said = "send them by OTLP: OTEL_METRICS_EXPORTER=otlp"

    def is_told() -> bool:
        assert ask(address).status_code == 200
        return any(said in line.get("error", "") for line in server.lines)

    wait_until(is_told)
    assert "http_server_request_duration_seconds_count" in metrics_at(port)
    assert len([line for line in server.lines if line["event"] == "telemetry_failed"]) == 1
    server.stop()


@pytest.mark.telemetry_fails
def test_one_exporter_that_cannot_start_does_not_take_the_others_along(processes: Processes, port: int) -> None:
    """``OTEL_METRICS_EXPORTER=prometheus,otlp`` with several workers: each sends its own by OTLP."""
    with otlp_collector(protocols="http") as collector:
        processes.environ |= {**collector.environ(), "OTEL_METRICS_EXPORTER": "prometheus,otlp"}
        server = processes.gunicorn("--workers", "2")
        address = served_by(server, port)

        def both_have_served() -> bool:
            assert ask(address).status_code == 200
            return any(line["event"] == "telemetry_failed" for line in server.lines)

        wait_until(both_have_served)
        server.stop()
        points = [point for point in collector.points if point.name == "http.server.request.duration"]
    assert len({point.resource["service.instance.id"] for point in points}) == 2


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_a_worker_of_one_process_is_asked(processes: Processes, port: int, valkey: Broker, pool: str) -> None:
    """Its tasks run where its metrics are."""
    processes.environ |= valkey.environ
    worker = processes.worker(pool=pool)
    with make_app(valkey) as app:
        app.send_task("tests.project.tasks.echo", ignore_result=True)
    worker.wait_for_event("task_completed")
    wait_until(lambda: 'outcome="completed"' in metrics_at(port))  # it is measured after its line
    assert "dtx_task_queue_duration_seconds_bucket" in metrics_at(port)
    worker.stop()
