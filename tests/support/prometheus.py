"""A real Prometheus, and a collector's way to it: what came by OTLP, as Prometheus names and labels it."""

import json
import os
import re
import shutil
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from .otlp import Collector, Point
from .ports import reserved_port
from .processes import Process, clean_environ
from .waiting import wait_until

__all__ = ["Prometheus", "need_prometheus", "passed_on_by", "running_prometheus"]

_UNITS = {"s": "_seconds", "ms": "_milliseconds", "By": "_bytes", "1": "_ratio"}


def need_prometheus() -> None:
    """Skip the test if Debian's package ``prometheus`` is not installed; fail it in a CI that asks for it."""
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        if os.environ.get("DTX_REQUIRE_PROMETHEUS") == "1":
            pytest.fail("prometheus and promtool are not installed, and DTX_REQUIRE_PROMETHEUS is 1")
        pytest.skip("prometheus and promtool are not installed (Debian's package prometheus)")


class Prometheus:
    """One that runs.

    Args:
        port: where it answers.
    """

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that answer *expression* now, without those whose value is no number."""
        query = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self._url}/api/v1/query?{query}", timeout=180) as response:
            result: list[dict[str, Any]] = json.load(response)["data"]["result"]
        return [series for series in result if series["value"][1] != "NaN"]

    def rules(self) -> list[dict[str, Any]]:
        """Return the alert rules, each with its ``state`` and ``health``."""
        with urllib.request.urlopen(f"{self._url}/api/v1/rules", timeout=180) as response:
            groups = json.load(response)["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


@contextmanager
def running_prometheus(folder: Path, targets: list[int], *, rules: Path | None = None) -> Iterator[Prometheus]:
    """Run a Prometheus for the block.

    Args:
        folder: for its files.
        targets: ports of loopback that it asks for ``/metrics``, five times a second.
        rules: a file of alert rules.
    """
    port, addresses = reserved_port(), [f"127.0.0.1:{target}" for target in targets]
    config = {
        "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "200ms"},
        "rule_files": [str(rules)] if rules is not None else [],
        # As a collector's is scraped: job and instance are those of the services.
        "scrape_configs": [{"job_name": "collector", "honor_labels": True, "static_configs": [{"targets": addresses}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # YAML has all of JSON
    options = [f"--web.listen-address=127.0.0.1:{port}", f"--storage.tsdb.path={folder / 'data'}", "--log.level=warn"]
    process = Process(["prometheus", f"--config.file={folder / 'prometheus.yml'}", *options], clean_environ(), cwd=folder)
    try:
        prometheus = Prometheus(port)
        wait_until(lambda: process.ended or prometheus.is_ready(), what="Prometheus")
        assert not process.ended, process.text
        yield prometheus
    finally:
        process.kill()


@contextmanager
def passed_on_by(collector: Collector) -> Iterator[int]:
    """Serve for the block what *collector* received last of each series; return the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = _exposition(tuple(collector.points)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _exposition(points: tuple[Point, ...]) -> str:
    latest = {(point.name, tuple(sorted(_labels(point).items()))): point for point in points}
    return "".join(f"{line}\n" for point in latest.values() for line in _samples(point))


def _samples(point: Point) -> Iterator[str]:
    """Write one series by the compatibility specification of OpenTelemetry and Prometheus."""
    name, labels = _plain(point.name) + _UNITS.get(point.unit, ""), _labels(point)
    if point.kind == "histogram":
        bounds = [*map(str, point.bounds), "+Inf"]
        for bound, count in zip(bounds, accumulate(point.buckets), strict=True):
            yield _sample(f"{name}_bucket", {**labels, "le": bound}, count)
        yield _sample(f"{name}_sum", labels, point.value)
        yield _sample(f"{name}_count", labels, point.count)
    else:
        yield _sample(f"{name}_total" if point.kind == "counter" else name, labels, point.value)


def _labels(point: Point) -> dict[str, str]:
    found = {_plain(key): str(value) for key, value in point.attributes.items()}
    return {**found, "job": point.resource["service.name"], "instance": point.resource["service.instance.id"]}


def _sample(name: str, labels: dict[str, str], value: float) -> str:
    pairs = ",".join(f"{key}={json.dumps(text)}" for key, text in labels.items())
    return f"{name}{{{pairs}}} {value}"


def _plain(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]+", "_", name)
