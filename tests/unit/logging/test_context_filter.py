"""ContextFilter: the bound context for the application's other handlers."""

import json
import logging
import logging.config
import logging.handlers
import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

import dtx_telemetry
from dtx_telemetry import ContextFilter
from dtx_telemetry.config import Settings
from dtx_telemetry.context import bind_fields
from dtx_telemetry.logging import configure, get_logger
from tests.support.pipeline import Printed, print_lines

log = logging.getLogger("context.filter.tests")


class Watched(logging.Handler):
    """Keeps what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[logging.LogRecord] = []
        self.addFilter(ContextFilter())

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record)


@pytest.fixture
def printed(tmp_path: Path) -> Printed:
    return print_lines(tmp_path)


@pytest.fixture
def watched() -> Iterator[Watched]:
    """A handler with the filter that is asked before ours."""
    handler = Watched()
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)


def test_it_is_public() -> None:
    """Settings can name it by its dotted path, in which nothing else is loaded."""
    assert dtx_telemetry.ContextFilter is ContextFilter
    assert "ContextFilter" in dtx_telemetry.__all__


def test_a_format_shows_the_id(tmp_path: Path) -> None:
    """A file of the application's LOGGING shows the request's id, and a dash where there is none."""
    path = tmp_path / "app.log"
    handler = {"class": "logging.FileHandler", "filename": str(path), "formatter": "plain", "filters": ["context"]}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"context": {"()": "dtx_telemetry.ContextFilter"}},
            "formatters": {"plain": {"format": "%(request.id)s %(message)s"}},
            "handlers": {"file": handler},
            "root": {"handlers": ["file"]},
        }
    )
    configure(Settings(log_format="json"))
    with bind_fields(**{"request.id": "abc"}):
        log.warning("in a request")
        get_logger("app").warning("by us", hero="Invoker")
    log.warning("outside")
    logging.getLogger().handlers[0].close()
    assert path.read_text().splitlines() == ["abc in a request", "abc by us", "- outside"]


def test_everything_that_is_bound_is_on_the_record(printed: Printed, watched: Watched) -> None:
    """What we bound and what the application bound is there as attributes, values as they are."""
    with bind_fields(**{"request.id": "abc", "labels": ["draft"]}):
        structlog.contextvars.bind_contextvars(tenant=5)
        log.warning("x", extra={"own": 1})
        structlog.contextvars.unbind_contextvars("tenant")
    attributes = vars(watched.seen[-1])
    found = {key: attributes[key] for key in ("request.id", "labels", "tenant", "own")}
    assert found == {"request.id": "abc", "labels": ["draft"], "tenant": 5, "own": 1}


def test_attributes_of_the_record_stay(printed: Printed, watched: Watched) -> None:
    """Neither stdlib's attributes nor the event's own fields are overwritten."""
    with bind_fields(name="bound", msg="bound", args=1, hero="bound", **{"request.id": "abc"}):
        log.warning("x %s", 1, extra={"hero": "own"})
    [record] = watched.seen
    assert (record.name, record.getMessage(), vars(record)["hero"]) == (log.name, "x 1", "own")


def test_secrets_are_redacted(tmp_path: Path, watched: Watched) -> None:
    """What is bound under a key that names a secret does not get to other handlers, by REDACT_KEYS too."""
    print_lines(tmp_path, redact_keys=("iban",))
    with bind_fields(api_token="hunter2", iban="DE00"):
        log.warning("x")
    assert (vars(watched.seen[-1])["api_token"], vars(watched.seen[-1])["iban"]) == ("[redacted]", "[redacted]")


def test_our_line_is_the_same_with_and_without_it(printed: Printed, watched: Watched) -> None:
    """Our own line does not show that another handler has the filter."""
    for handlers in ([watched], []):
        log.handlers[:] = handlers
        for bound in ({"request.id": "abc", "labels": ["draft"]}, {}):
            with bind_fields(**bound):
                log.warning("x", extra={"own": 1})
                log.warning("y")
    assert len(printed.lines) == 8
    with_it, without = printed.lines[:4], printed.lines[4:]
    for left, right in zip(with_it, without, strict=True):
        assert list(left.items())[1:] == list(right.items())[1:]


def test_behind_a_queue(printed: Printed) -> None:
    """On a QueueHandler it adds the context in the thread that logs, for the listener's handlers to print."""
    records: queue.SimpleQueue[Any] = queue.SimpleQueue()
    handler, written = logging.handlers.QueueHandler(records), Watched()  # type: ignore[arg-type]
    handler.addFilter(ContextFilter())
    listener = logging.handlers.QueueListener(records, written)  # type: ignore[arg-type]
    log.addHandler(handler)
    listener.start()
    try:
        with bind_fields(**{"request.id": "abc"}):
            log.warning("x")
    finally:
        listener.stop()
        log.removeHandler(handler)
    assert vars(written.seen[0])["request.id"] == "abc"


def test_json_formatters_print_the_context(printed: Printed) -> None:
    """structlog's own formatter prints the context of third parties' records by its ExtraAdder, and nothing else of ours."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
    )
    record = logging.makeLogRecord({"msg": "x"})
    with bind_fields(**{"request.id": "abc"}):
        assert ContextFilter().filter(record)
    assert json.loads(formatter.format(record)) == {"event": "x", "request.id": "abc"}


@pytest.mark.telemetry_fails
def test_a_record_that_is_none_passes() -> None:
    """It never raises, whatever it is given."""
    assert ContextFilter().filter(object()) is True  # type: ignore[arg-type]
