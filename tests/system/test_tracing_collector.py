"""A real collector between us and the receiver: what it takes in, understands and passes on is what we meant."""

import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.otlp import Collector, otlp_collector
from tests.support.ports import reserved_port
from tests.support.processes import Process, clean_environ, run_python
from tests.support.waiting import wait_until


def find_rotel() -> Path | None:
    """Return the collector's binary, which the package ``rotel`` has in it."""
    spec = find_spec("rotel")
    return None if spec is None or spec.origin is None else Path(spec.origin).with_name("rotel-agent")


ROTEL = find_rotel()
pytestmark = pytest.mark.skipif(ROTEL is None, reason="rotel, a collector on PyPI, is not installed")


@pytest.fixture
def passed_on() -> Iterator[Collector]:
    """Receive what the collector passes on."""
    with otlp_collector(protocols="http") as collector:
        yield collector


@pytest.fixture
def rotel(passed_on: Collector) -> Iterator[Collector]:
    """The collector's address, in a form that gives out variables; it passes everything on at once."""
    address = Collector(http_port=reserved_port(), grpc_port=reserved_port())
    options = {
        "--otlp-http-endpoint": f"127.0.0.1:{address.http_port}",
        "--otlp-grpc-endpoint": f"127.0.0.1:{address.grpc_port}",
        "--exporter": "otlp",
        "--otlp-exporter-endpoint": f"http://127.0.0.1:{passed_on.http_port}",
        "--otlp-exporter-protocol": "http",
    }
    # It is linked to the interpreter, wherever that is.
    environ = clean_environ(LD_LIBRARY_PATH=sysconfig.get_config_var("LIBDIR") or "")
    arguments = [part for option in options.items() for part in option]
    process = Process([str(ROTEL), "start", "--disable-batching", *arguments], environ)
    try:
        wait_until(lambda: process.ended or {address.http_port, address.grpc_port} <= set(process.ports()), what="rotel")
        if process.ended:
            pytest.skip(f"rotel does not start here: {process.errors or process.other}")
        yield address
    finally:
        process.kill()


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_all_signals_pass_a_real_collector(rotel: Collector, passed_on: Collector, protocol: str) -> None:
    """Over both protocols, with attributes, resource and trace as they were made."""
    code = """
        from dtx_telemetry import operation
        from tests.support.spanning import work

        work("first")
        with operation("turn", "r1", **{"user.id": 5, "labels": ["draft"]}):
            work("inner")
    """
    run_python(code, OTEL_SERVICE_NAME="radiant", **rotel.environ(protocol))

    spans = {span.name: span for span in passed_on.wait_for_spans(3)}
    assert spans.keys() == {"command first", "operation turn", "command inner"}
    assert spans["command inner"].parent_id == spans["operation turn"].span_id
    expected = {"request.id": "r1", "user.id": 5, "labels": ["draft"]}
    assert expected.items() <= spans["command inner"].attributes.items()
    (record,) = passed_on.wait_for_records(body="inner")
    assert (record.trace_id, record.span_id) == (spans["command inner"].trace_id, spans["command inner"].span_id)
    assert expected.items() <= record.attributes.items()
    (point,) = [point for point in passed_on.wait_for_points(2) if point.attributes["consumer"] == "inner"]
    assert (point.name, point.value) == ("dtx.websocket.messages", 1)
    assert {item.resource["service.name"] for item in (*spans.values(), record, point)} == {"radiant"}
