"""A trial of the exporters: one span, one measurement and one log record to each address, and what it answers."""

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from ...errors import error_text
from .endpoints import meaning_of, mistake_in
from .environment import make_resource, read_blueprint

__all__ = ["Answer", "try_exporters"]

_NAME = "dtx_telemetry trial"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one exporter's trial.

    Attributes:
        signal: ``traces``, ``metrics`` or ``logs``.
        address: the address that it sends to, or the name of an exporter that has none.
        accepted: True if the record was taken, ``None`` if it was not sent, since no collector would get it.
        said: what the exporter said about it.
        hint: what is probably wrong, and how to mend it.
    """

    signal: str
    address: str
    accepted: bool | None
    said: str = ""
    hint: str = ""


def try_exporters(seconds: float) -> Iterator[Answer]:
    """Yield an answer for each exporter that the environment names.

    Args:
        seconds: how long one may take.
    """
    resource = make_resource()
    for signal, makers in read_blueprint().exporters.items():
        for make in makers:
            yield _try(signal, make, resource, seconds)


def _try(signal: str, make: Callable[..., Any], resource: Resource, seconds: float) -> Answer:
    try:
        exporter = make()
        if ".otlp." not in type(exporter).__module__:
            return Answer(signal, type(exporter).__name__, None)
        exporter.shutdown()
        exporter = make(timeout=seconds)
        address = str(exporter._endpoint)
        with _listening_to(exporter) as said:
            accepted = exporter.export(_RECORDS[signal](resource)).name == "SUCCESS"
        exporter.shutdown()
        mistake = mistake_in(address, signal, is_grpc=".grpc." in type(exporter).__module__)
        return Answer(signal, address, accepted, said.text, "" if accepted else mistake or meaning_of(said.text, signal))
    except Exception as error:
        return Answer(signal, "", False, error_text(error))


@contextmanager
def _listening_to(exporter: object) -> Generator["_Said"]:
    """Keep what *exporter* says.

    The SDK drops a complaint that repeats the last one, and the process's own exporter may just have made it.
    """
    modules = {kind.__module__ for kind in type(exporter).__mro__ if kind.__module__.startswith("opentelemetry.")}
    loggers = [logging.getLogger(name) for name in modules]
    said = _Said()
    with ExitStack() as stack:
        for logger in loggers:
            stack.callback(setattr, logger, "filters", logger.filters)
            logger.filters = []
            logger.addHandler(said)
            stack.callback(logger.removeHandler, said)
        yield said


def _span(resource: Resource) -> list[ReadableSpan]:
    kept: list[ReadableSpan] = []

    class Keeping(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            kept.append(span)

    provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(Keeping())
    provider.get_tracer(_NAME).start_span(_NAME).end()
    return kept


def _measurement(resource: Resource) -> Any:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    provider.get_meter(_NAME).create_counter("dtx.trial").add(1)
    return reader.get_metrics_data()


def _record(resource: Resource) -> list[Any]:
    kept: list[Any] = []

    class Keeping(LogRecordProcessor):
        def on_emit(self, log_record: Any) -> None:
            kept.append(log_record)

        def shutdown(self) -> None:
            pass

        def force_flush(self, timeout_millis: int = 30000) -> bool:
            return True

    provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_log_record_processor(Keeping())
    provider.get_logger(_NAME).emit(LogRecord(body=_NAME, severity_number=SeverityNumber.INFO, severity_text="INFO"))
    return kept


_RECORDS: dict[str, Callable[[Resource], Any]] = {"traces": _span, "metrics": _measurement, "logs": _record}


class _Said(logging.Handler):
    """Keeps the last thing that an exporter logs."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):
            self.text = record.getMessage()
