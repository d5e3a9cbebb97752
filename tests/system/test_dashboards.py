"""The dashboards and alert rules against a real Prometheus: every query is answered from what real processes sent."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

import dtx_telemetry
from tests.support.brokers import Broker
from tests.support.database import Database
from tests.support.otlp import otlp_collector
from tests.support.processes import Processes, run_python
from tests.support.prometheus import Prometheus, need_prometheus, passed_on_by, running_prometheus
from tests.support.waiting import wait_until

FOLDER = Path(dtx_telemetry.__file__).parent / "dashboards"
RULES = FOLDER / "prometheus" / "alerts.yml"
DASHBOARDS = sorted(FOLDER.glob("grafana/*.json"))
#: What Grafana puts in.
VARIABLES = {"$__rate_interval": "30s", "$__range": "1m", "$service": ".+"}
#: What a click seldom has: a task that was killed, or that no worker knows, and lines that could not be written.
MISHAPS = """
from dtx_telemetry import init_telemetry
init_telemetry()
from dtx_telemetry.tracing import TRACING
TRACING.on.measures.task_done("work", 3.0, "killed")
TRACING.on.measures.task_done("_OTHER", 0.0, "unknown")
TRACING.on.measures.lines_lost(3)
"""


def queries(dashboard: Path) -> Iterator[tuple[str, str]]:
    """Yield the title and query of each of a dashboard's panels that asks Prometheus."""
    for panel in json.loads(dashboard.read_text())["panels"]:
        for target in panel.get("targets", ()):
            if target["datasource"]["type"] == "prometheus":
                query = target["expr"]
                for name, value in VARIABLES.items():
                    query = query.replace(name, value)
                yield f"{dashboard.stem}: {panel['title']}", query


def without_threshold(rule: dict[str, Any]) -> str:
    query, count = re.subn(r"\s*>\s*[0-9.]+$", "", rule["query"])
    assert count == 1, rule["query"]
    return query


def test_every_query_is_answered(
    processes: Processes, valkey: Broker, database: Database, valkey_url: str, tmp_path: Path
) -> None:
    """A view, its task and its socket, some of them failing, and the drivers' statements. What happened fires, and no more."""
    need_prometheus()
    pytest.importorskip("opentelemetry.instrumentation.dbapi")
    with otlp_collector(protocols="http") as collector, passed_on_by(collector) as port:
        processes.environ |= {**valkey.environ, **database.environ, **collector.environ()}
        processes.environ |= {"OTEL_METRIC_EXPORT_INTERVAL": "300", "OTEL_SEMCONV_STABILITY_OPT_IN": "database"}
        processes.environ["DTX_TEST_CHANNEL_LAYER"] = valkey_url
        server, worker = processes.uvicorn(app="tests.project.measured_asgi:application"), processes.worker(pool="threads")
        address = f"127.0.0.1:{server.wait_for_port()}"
        with (
            running_prometheus(tmp_path, [port], rules=RULES) as prometheus,
            connect(f"ws://{address}/ws/draft/5/", additional_headers=database.headers, open_timeout=180, proxy=None) as socket,
            httpx.Client(base_url=f"http://{address}", headers=database.headers, timeout=180) as client,
        ):
            run_python(MISHAPS, **processes.environ)
            asked = [pair for dashboard in DASHBOARDS for pair in queries(dashboard)]
            asked += [(f"alert {rule['name']}", without_threshold(rule)) for rule in prometheus.rules()]
            missing = click_until_answered(prometheus, asked, client, socket)
            firing = {rule["name"] for rule in prometheus.rules() if rule["state"] == "firing"}
            health = {rule["health"] for rule in prometheus.rules()}
        assert worker.stop() == 0
    assert missing == []
    assert health == {"ok"}
    assert firing == {"TasksAreKilled", "TasksAreUnknown", "LogLinesAreLost"}


def click_until_answered(
    prometheus: Prometheus, asked: list[tuple[str, str]], client: httpx.Client, socket: ClientConnection
) -> list[tuple[str, str]]:
    """Click again and again, and return what has no answer after a minute. A rate needs two values of a series."""
    missing = asked

    def all_answered() -> bool:
        nonlocal missing
        client.post("/api/tournaments/7/publish/", json={"task": "tell_group", "args": ["draft_5", "your pick"]})
        for task in ("fail", "retry"):
            client.post("/api/tournaments/7/publish/", json={"task": task})
        client.get("/api/users/me/")
        client.get("/api/fail/")
        socket.recv(timeout=180)
        missing = [(title, query) for title, query in missing if not prometheus.query(query)]
        return not missing

    with suppress(AssertionError):
        wait_until(all_answered)
    return missing


def test_the_rules_pass() -> None:
    """By Prometheus' own tool."""
    need_prometheus()
    done = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr


def series(metric: str, values: str, **labels: str) -> dict[str, str]:
    pairs = ",".join(f'{name}="{value}"' for name, value in {"job": "shop", "instance": "a", **labels}.items())
    return {"series": f"{metric}{{{pairs}}}", "values": values}


REQUESTS, TASKS = "http_server_request_duration_seconds", "dtx_task_duration_seconds"
#: What is going on for half an hour, a value a minute, and which alert fires at its end.
COURSES = {
    "all is well": (
        [
            series(f"{REQUESTS}_count", "0+60x30", http_response_status_code="200"),
            series(f"{REQUESTS}_count", "0+1x30", http_response_status_code="500", error_type="ValueError"),
            series(f"{REQUESTS}_bucket", "0+60x30", http_route="/", http_request_method="GET", le="1"),
            series(f"{REQUESTS}_bucket", "0+60x30", http_route="/", http_request_method="GET", le="+Inf"),
            series(f"{TASKS}_count", "0+60x30", task_name="mail", outcome="completed"),
            series(f"{TASKS}_count", "0+60x30", task_name="mail", outcome="retried"),
            series(f"{TASKS}_count", "3x30", task_name="mail", outcome="killed"),
            series("dtx_log_lines_lost_total", "7x30"),
        ],
        None,
    ),
    "a tenth of the requests fails": (
        [
            series(f"{REQUESTS}_count", "0+54x30", http_response_status_code="200"),
            series(f"{REQUESTS}_count", "0+6x30", http_response_status_code="500", error_type="ValueError"),
        ],
        "RequestsFail",
    ),
    "bodies break off after a 200": (
        [
            series(f"{REQUESTS}_count", "0+54x30", http_response_status_code="200"),
            series(f"{REQUESTS}_count", "0+6x30", http_response_status_code="200", error_type="OSError"),
        ],
        "RequestsFail",
    ),
    "a route takes five seconds": (
        [
            series(f"{REQUESTS}_bucket", "0+1x30", http_route="/report/", http_request_method="GET", le="2.5"),
            series(f"{REQUESTS}_bucket", "0+60x30", http_route="/report/", http_request_method="GET", le="5"),
            series(f"{REQUESTS}_bucket", "0+60x30", http_route="/report/", http_request_method="GET", le="+Inf"),
        ],
        "RouteIsSlow",
    ),
    "a task fails half the time": (
        [
            series(f"{TASKS}_count", "0+5x30", task_name="mail", outcome="completed"),
            series(f"{TASKS}_count", "0+5x30", task_name="mail", outcome="failed"),
        ],
        "TasksFail",
    ),
    "tasks wait for five minutes": (
        [
            series("dtx_task_queue_duration_seconds_bucket", "0x30", task_name="mail", le="60"),
            series("dtx_task_queue_duration_seconds_bucket", "0+60x30", task_name="mail", le="300"),
            series("dtx_task_queue_duration_seconds_bucket", "0+60x30", task_name="mail", le="+Inf"),
        ],
        "TasksWait",
    ),
    "the first task is killed": ([series(f"{TASKS}_count", "_x28 1 1", task_name="mail", outcome="killed")], "TasksAreKilled"),
    "one more is killed": ([series(f"{TASKS}_count", "1x27 2 2 2", task_name="mail", outcome="killed")], "TasksAreKilled"),
    "a task is unknown": ([series(f"{TASKS}_count", "_x28 1 1", task_name="_OTHER", outcome="unknown")], "TasksAreUnknown"),
    "lines are lost": ([series("dtx_log_lines_lost_total", "_x28 40 40")], "LogLinesAreLost"),
}


@pytest.mark.parametrize(("course", "expected"), COURSES.values(), ids=COURSES)
def test_an_alert_fires_when_it_should(tmp_path: Path, course: list[dict[str, str]], expected: str | None) -> None:
    """And the others do not."""
    need_prometheus()
    fires = {name: fires_at_the_end(name, course, tmp_path) for name in re.findall(r"alert: (\w+)", RULES.read_text())}
    assert {name for name, does in fires.items() if does} == ({expected} if expected else set())


def fires_at_the_end(alert: str, course: list[dict[str, str]], folder: Path) -> bool:
    """Have promtool expect that it does not."""
    expectation = {"eval_time": "30m", "alertname": alert, "exp_alerts": []}
    test = {"interval": "1m", "input_series": course, "alert_rule_test": [expectation]}
    (folder / "test.json").write_text(json.dumps({"rule_files": [str(RULES)], "tests": [test]}))
    command = ["promtool", "test", "rules", str(folder / "test.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    said = done.stdout + done.stderr
    assert done.returncode == 0 or 'job="shop"' in said, said
    return done.returncode != 0
