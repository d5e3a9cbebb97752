"""OpenTelemetry set up by its own variables in a process, sending to a receiver over HTTP and gRPC."""

import json
from pathlib import Path

import pytest
import trustme
from opentelemetry import trace

from tests.support.otlp import Collector, otlp_collector
from tests.support.processes import run_python
from tests.support.tracing import Traced

ONE_OF_EACH = """
    from dtx_telemetry import get_logger, init_telemetry
    init_telemetry()
    from dtx_telemetry.tracing import TRACING
    span = TRACING.on.work.begin("command work")
    get_logger("app").info("picked")
    span.end()
    span.leave()
    TRACING.on.measures.message("Told", "sent")
"""


def send_one_of_each(collector: Collector, protocol: str, **environ: str) -> None:
    """Run a process that makes a span, a line and a measurement, and ends."""
    run_python(ONE_OF_EACH, **{**collector.environ(protocol), **environ})


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
class TestVariables:
    def test_all_three_signals_arrive_with_the_resource(self, protocol: str) -> None:
        """The service's name, attributes, detectors; the instance is the process's own; headers go along."""
        environ = {
            "OTEL_SERVICE_NAME": "draft-service",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
            "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "process,otel,service_instance",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=radiant",
        }
        with otlp_collector() as collector:
            send_one_of_each(collector, protocol, **environ)

        (span,), (record,), (point,) = collector.spans, collector.records, collector.points
        for item in (span, record, point):
            assert item.resource["service.name"] == "draft-service"
            assert item.resource["deployment.environment.name"] == "test"
            assert item.resource["process.pid"] > 0
        assert len({item.resource["service.instance.id"] for item in (span, record, point)}) == 1
        assert (record.trace_id, record.span_id) == (span.trace_id, span.span_id)
        assert collector.headers["x-tenant"] == "radiant"

    def test_certificates(self, protocol: str, tmp_path: Path) -> None:
        """``OTEL_EXPORTER_OTLP_CERTIFICATE`` says whom to trust."""
        authority = trustme.CA()
        certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
        server = authority.issue_cert("localhost")
        certificate.write_bytes(b"".join(blob.bytes() for blob in server.cert_chain_pems))
        server.private_key_pem.write_to_path(key)
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        with otlp_collector(tls=(certificate, key)) as collector:
            send_one_of_each(collector, protocol, OTEL_EXPORTER_OTLP_CERTIFICATE=str(tmp_path / "ca.pem"))

        assert (len(collector.spans), len(collector.records), len(collector.points)) == (1, 1, 1)


class TestInstrumentations:
    def test_of_redis_make_spans_inside_a_span_only(self, traced: Traced, valkey_url: str) -> None:
        """An idle worker asks its Redis all the time."""
        import redis

        client = redis.Redis.from_url(valkey_url)
        client.ping()
        with trace.get_tracer("application").start_as_current_span("work"):
            client.get("x")
        client.close()

        spans = {span.name: span for span in traced.flushed().spans}
        assert spans.keys() == {"work", "GET"}
        assert spans["GET"].parent_id == spans["work"].span_id


def test_a_span_of_any_makers_gives_its_lines_its_ids() -> None:
    """Without OpenTelemetry's SDK, as vendors' are, and one that came from another process and records nothing."""
    said = run_python(
        """
        import logging, sys
        from opentelemetry import context, propagate, trace
        from dtx_telemetry import get_logger, init_telemetry
        init_telemetry()
        log = get_logger("app")
        log.info("outside")
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
        token = context.attach(propagate.extract({"traceparent": parent}))
        log.info("inside")
        logging.getLogger("third.party").warning("spoke")
        context.detach(token)
        log.info("after")
        assert "opentelemetry.sdk" not in sys.modules
        """,
        LOG_FORMAT="json",
    )

    lines = {line["event"]: line for line in map(json.loads, said.splitlines())}
    for event in ("inside", "spoke"):
        found = (lines[event]["trace_id"], lines[event]["span_id"])
        assert found == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert all("trace_id" not in lines[event] for event in ("outside", "after"))
