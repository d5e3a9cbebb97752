"""Log lines over OTLP: each once, with typed attributes, and nothing of OpenTelemetry's own."""

import logging
import time
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from dtx_telemetry import bind_fields, config, get_logger, startup
from dtx_telemetry.logging.streams import StreamTarget
from dtx_telemetry.tracing.sdk.complaints import Complaints
from tests.conftest import LogOutput
from tests.support.otlp import Record
from tests.support.tracing import Traced, forget_providers, opentelemetry_on

log = get_logger("app")


def the_record(traced: Traced) -> Record:
    """Return the only record that was sent."""
    (record,) = traced.flushed().records
    return record


class Odd:
    """An object that cannot say what it is."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def test_an_event_is_a_record_with_typed_attributes(traced: Traced) -> None:
    """What is bound, too; body, severity, time and the logger have fields of their own."""
    before = time.time()
    with bind_fields(**{"request.id": "r-1", "labels": ["draft"]}):
        log.info("picked", hero="Invoker", pick=12, share=0.5, first=True, nested={"a": [1, "b"]})

    record = the_record(traced)
    assert (record.body, record.severity, record.severity_text, record.scope) == ("picked", 9, "INFO", "app")
    assert record.attributes == {
        "request.id": "r-1",
        "labels": ["draft"],
        "hero": "Invoker",
        "pick": 12,
        "share": 0.5,
        "first": True,
        "nested": {"a": [1, "b"]},
    }
    assert before - 0.001 <= record.timestamp <= time.time()


def test_a_record_of_stdlib_goes_out_once(traced: Traced, log_output: LogOutput) -> None:
    """As on the line, its arguments in it."""
    logging.getLogger("third.party").warning("took %d ms", 12, extra={"hero": "Lina"})

    record = the_record(traced)
    assert (record.body, record.severity_text, record.attributes["hero"]) == ("took 12 ms", "WARN", "Lina")
    assert log_output.one("took 12 ms")


@pytest.mark.parametrize(
    ("level", "number", "text"), [(10, 5, "DEBUG"), (40, 17, "ERROR"), (50, 21, "FATAL"), (27, 10, "LEVEL 27")]
)
def test_severities(traced: Traced, log_output: LogOutput, level: int, number: int, text: str) -> None:
    """Stdlib's levels, and one of the application's own."""
    logging.getLogger("third.party").log(level, "x")

    record = the_record(traced)
    assert (record.severity, record.severity_text) == (number, text)


def test_a_record_has_the_ids_of_its_span(traced: Traced, log_output: LogOutput) -> None:
    """In the fields that OTLP has for them, as the line has."""
    with trace.get_tracer("application").start_as_current_span("work"):
        log.info("picked")

    (span,) = traced.flushed().spans
    record, line = the_record(traced), log_output.one("picked")
    assert (record.trace_id, record.span_id) == (span.trace_id, span.span_id) == (line["trace_id"], line["span_id"])
    assert not {"trace_id", "span_id"} & record.attributes.keys()


def test_an_exception(traced: Traced) -> None:
    """Its type, message and traceback by the semantic conventions."""
    try:
        raise RuntimeError("no mana")
    except RuntimeError:
        log.exception("failed")

    attributes = the_record(traced).attributes
    assert (attributes["exception.type"], attributes["exception.message"]) == ("RuntimeError", "no mana")
    assert attributes["exception.stacktrace"].endswith("RuntimeError: no mana")
    assert attributes["error"] == "RuntimeError: no mana"


def test_secrets_are_redacted_and_long_values_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on the line, in attributes, bodies, and exceptions."""
    with opentelemetry_on(monkeypatch, LOG_MAX_VALUE_LENGTH="256") as traced:
        try:
            raise RuntimeError("at https://user:hunter2@example.org/")
        except RuntimeError:
            fields = {"nested": {"token": "hunter2"}, "quoted": "{'password': 'hunter2'}"}
            log.exception("https://user:hunter2@example.org/", password="hunter2", long="x" * 999, longish="x" * 300, **fields)
        record = the_record(traced)

    assert "hunter2" not in repr(record)
    assert len(record.attributes["long"]) < 350
    assert "[cut: 300 characters]" in record.attributes["longish"]


def test_what_cannot_be_printed_costs_no_record(traced: Traced) -> None:
    """Its place is held by a word about it."""
    log.info("picked", odd=Odd(), surrogate="\ud800")

    attributes = the_record(traced).attributes
    assert "Odd" in attributes["odd"]
    assert attributes["surrogate"] == "\\ud800"


def test_integers_that_otlp_cannot_hold_are_text(traced: Traced, log_output: LogOutput) -> None:
    """Its integers have 64 bits, with a sign. A path names longer ones, as ids; on spans too."""
    with bind_fields(**{"tournament.id": 10**19}), trace.get_tracer("app").start_as_current_span("work"):
        log.info("picked", wide=2**64, deep=[{"x": 2**63}], fits=2**63 - 1, low=-(2**63) - 1)

    flushed = traced.flushed()
    (record,), (span,) = flushed.records, flushed.spans
    assert record.attributes["wide"] == "18446744073709551616"
    assert record.attributes["deep"] == [{"x": "9223372036854775808"}]
    assert (record.attributes["fits"], record.attributes["low"]) == (2**63 - 1, "-9223372036854775809")
    assert record.attributes["tournament.id"] == span.attributes["tournament.id"] == "10000000000000000000"
    assert [line["event"] for line in log_output.lines] == ["picked"]


def test_what_opentelemetry_logs_stays_here(traced: Traced, log_output: LogOutput) -> None:
    """Its complaints are printed and not exported, or they would never end."""
    logging.getLogger("opentelemetry.exporter.otlp").error("cannot export")
    log.info("picked")

    assert the_record(traced).body == "picked"
    assert log_output.one("cannot export")


def test_exporting_at_level_debug_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the HTTP client logs while it exports is not exported again."""
    with opentelemetry_on(monkeypatch, LOG_LEVEL="DEBUG", LOG_LEVELS="urllib3=DEBUG", OTEL_BLRP_SCHEDULE_DELAY="10") as traced:
        log.info("picked")
        traced.collector.wait_for_records(body="picked")
        log.info("again")
        traced.collector.wait_for_records(body="again")
        assert {record.body for record in traced.flushed().records} == {"picked", "again"}


def test_complaints_are_one_line_a_minute_for_each_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter that cannot export has something to say each second; everybody else is let through."""
    now = 1000.0
    monkeypatch.setattr("dtx_telemetry.tracing.sdk.complaints.time.monotonic", lambda: now)
    complaints = Complaints()

    def passes(name: str) -> bool:
        return complaints.lets_pass(logging.LogRecord(name, 40, "", 0, "x", (), None))

    assert [passes("opentelemetry.a"), passes("opentelemetry.a"), passes("opentelemetry.b")] == [True, False, True]
    assert all(passes("application") for _ in range(3))
    now += 61
    assert passes("opentelemetry.a")


def test_an_exporter_of_the_applications_own_is_enough(traced: Traced) -> None:
    """Where a handler of OpenTelemetry's stands on the root logger, nothing goes out twice."""

    class LoggingHandler(logging.Handler):
        __module__ = "opentelemetry.instrumentation.logging.handler"

        def emit(self, record: logging.LogRecord) -> None:
            """Export it."""

    logging.getLogger().addHandler(LoggingHandler())
    log.info("picked")

    assert traced.flushed().records == []


def test_no_logs_are_exported_where_nobody_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """``OTEL_LOGS_EXPORTER=none``."""
    with opentelemetry_on(monkeypatch, OTEL_LOGS_EXPORTER="none") as traced:
        log.info("picked")
        assert traced.flushed().records == []


def test_lost_lines_are_counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """``dtx.log.lines_lost``, once output works again."""
    write, is_full = StreamTarget.write, [True]

    def write_unless_full(target: StreamTarget, data: bytes, nested: bool) -> None:
        if is_full[0]:
            raise OSError("no space left on device")
        write(target, data, nested)

    monkeypatch.setattr(StreamTarget, "write", write_unless_full)
    with opentelemetry_on(monkeypatch, LOG_STREAM="stdout") as traced:
        for _ in range(3):
            log.info("lost")
        is_full[0] = False
        log.info("printed")
        (point,) = [point for point in traced.flushed().points if point.name == "dtx.log.lines_lost"]

    assert point.value == 3
    assert "log_lines_lost" in capsys.readouterr().out


class TestAnApplicationsOwnSetUp:
    @pytest.fixture(autouse=True)
    def _provider(self) -> Any:
        forget_providers()
        trace.set_tracer_provider(TracerProvider())
        yield
        forget_providers()

    def test_gives_lines_its_ids_without_ours(self, log_output: LogOutput) -> None:
        """``OTEL_ENABLED`` is off, and whoever made the span, the line knows it."""
        with trace.get_tracer("application").start_as_current_span("work") as span:
            log.info("picked")
            logging.getLogger("third.party").info("spoke")
        log.info("outside")

        context = span.get_span_context()
        for event in ("picked", "spoke"):
            line = log_output.one(event)
            assert int(line["trace_id"], 16) == context.trace_id
            assert int(line["span_id"], 16) == context.span_id
            assert (len(line["trace_id"]), len(line["span_id"])) == (32, 16)
        assert "trace_id" not in log_output.one("outside")

    def test_gives_lines_nothing_where_telemetry_is_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """``TELEMETRY_ENABLED=false`` passes straight through."""
        monkeypatch.setenv("TELEMETRY_ENABLED", "false")
        config.reset()
        startup.init_telemetry()
        with trace.get_tracer("application").start_as_current_span("work"):
            log.info("picked")
