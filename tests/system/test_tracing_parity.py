"""The same requests through us and through opentelemetry-instrumentation-django, field by field."""

import json
from typing import Any

import django
import pytest

from tests.support.otlp import Collector, otlp_collector
from tests.support.processes import run_python

REQUESTS = """
    import json, os, sys
    import django
    from django.conf import settings
    OURS = os.environ["SUBJECT"] == "ours"
    settings.configure(
        SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF="tests.project.http_urls",
        INSTALLED_APPS=["dtx_telemetry"] if OURS else [],
        MIDDLEWARE=["dtx_telemetry.middleware.TelemetryMiddleware"] if OURS else [],
        REST_FRAMEWORK={"UNAUTHENTICATED_USER": None},
    )
    if not OURS:
        from opentelemetry import metrics, trace
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.django import DjangoInstrumentor
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        trace.set_tracer_provider(TracerProvider())
        trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]))
        DjangoInstrumentor().instrument()
    django.setup()
    import asyncio
    from django.test import AsyncClient, Client
    paths = ["/http/ok/", "/http/missing/", "/http/denied/", "/http/boom/", "/http/teapot/", "/http/unavailable/",
             "/http/redirect/", "/http/stream/", "/no/such/path/", "/api/tournaments/5/"]
    headers = {"User-Agent": "parity/1", "X-Team": "radiant"}
    sync, asynchronous = Client(raise_request_exception=False), AsyncClient(raise_request_exception=False)
    async def ask(method, path):
        response = await asynchronous.generic(method, path, headers=headers)
        if response.streaming:
            async for _ in response:
                pass
        response.close()

    sent = 0
    for path in paths:
        for method in ("GET", "HEAD"):
            response = sync.generic(method, path, headers=headers)
            b"".join(response) if response.streaming else response.content
            response.close()
            asyncio.run(ask(method, path.replace("/http/", "/http/async/")))
            sent += 2
    sync.generic("BREW", "/http/ok/", headers=headers)
    print(sent + 1)
"""
#: What each side says that the other does not, and why.
OURS_ALONE = {
    "request.id",  # the scope's fields
    "labels",
    "scope.id",
    "tournament.id",
    "server.address",  # also where the client names no host
    "url.path",  # theirs takes it from RAW_URI, which not every server gives
}
THEIRS_ALONE = {"client.address"}  # personal: we want to be asked for it, by the captured headers
SAID_OTHERWISE = {
    "http.route",  # ours begins with a slash, as the conventions have it
    "error.type",  # ours is the exception's type; theirs the status
    "server.address",  # theirs is the address that the server listens on where there is no Host
}
COMPARED = ("http.request.method", "http.response.status_code", "url.scheme")
CAPTURE = {"OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "X-Team"}


def collect(subject: str) -> Collector:
    with otlp_collector(protocols="http") as collector:
        environ = {**collector.environ(), **CAPTURE, "SUBJECT": subject, "OTEL_TRACES_SAMPLER": "always_on"}
        if subject == "theirs":
            environ |= {"OTEL_ENABLED": "false", "OTEL_SEMCONV_STABILITY_OPT_IN": "http"}
        (count,) = [int(line) for line in run_python(REQUESTS, **environ).splitlines() if line.isdecimal()]
        servers = [span for span in collector.spans if span.kind == "SERVER"]
        assert len(servers) == count, (subject, count, len(servers))
        return collector


@pytest.mark.skipif(django.VERSION < (5, 2, 1), reason="there the contrib package records no captured headers")
def test_spans_and_points_are_those_of_the_contrib_package_but_for_what_is_listed() -> None:
    """Forty requests: synchronous and not, streamed, failing, without a match, HEAD, and a method that nobody knows."""
    ours, theirs = collect("ours"), collect("theirs")
    pairs = list(zip(*(sorted(c.spans, key=lambda span: span.start) for c in (ours, theirs)), strict=True))
    differences: dict[str, set[str]] = {"ours alone": set(), "theirs alone": set(), "otherwise": set()}
    for mine, other in pairs:
        a, b = mine.attributes, other.attributes
        differences["ours alone"] |= a.keys() - b.keys()
        differences["theirs alone"] |= b.keys() - a.keys()
        differences["otherwise"] |= {key for key in a.keys() & b.keys() if a[key] != b[key]}
        assert mine.kind == other.kind
        # Theirs makes an error of each exception of a view's, Http404 included; by the conventions a client's error is none.
        is_clients = 400 <= a["http.response.status_code"] < 500
        assert mine.status == ("UNSET" if is_clients else other.status), (mine, other)
    assert differences == {"ours alone": OURS_ALONE, "theirs alone": THEIRS_ALONE, "otherwise": SAID_OTHERWISE}

    def durations(collector: Collector) -> dict[str, Any]:
        points = [point for point in collector.points if point.name == "http.server.request.duration"]
        assert {(point.unit, point.bounds) for point in points} == {("s", points[0].bounds)}
        counts: dict[str, int] = {}
        for point in points:
            known = {
                key: point.attributes.get(key) for key in ("http.request.method", "http.response.status_code", "url.scheme")
            }
            counts[json.dumps(known)] = counts.get(json.dumps(known), 0) + point.count
        return {"counts": counts, "bounds": points[0].bounds}

    assert durations(ours) == durations(theirs)
