"""Records: ours are stdlib's, and none is made where nobody but our handler would see it, which nobody can tell by the line."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dtx_telemetry.config import Settings
from dtx_telemetry.context import bind_fields
from dtx_telemetry.logging import configure, get_logger
from tests.support.pipeline import Printed, only_ours, our_handler, print_lines

#: Loggers of its own, so that what is done to them is done to nobody else.
NAME = "records.of.tests"
log = get_logger(NAME)


class Watched(logging.Handler):
    """Keeps what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record)


@pytest.fixture
def printed(tmp_path: Path) -> Printed:
    return print_lines(tmp_path)


@pytest.fixture
def made() -> Iterator[list[str]]:
    """The events of which records are made."""
    events: list[str] = []
    make = logging.LogRecord

    def noting(*args: Any, **kwargs: Any) -> logging.LogRecord:
        events.append(args[4])
        return make(*args, **kwargs)

    with patch("dtx_telemetry.logging.emit._FACTORY", noting):
        logging.setLogRecordFactory(noting)
        yield events


def test_no_record_that_nobody_would_see(printed: Printed, made: list[str]) -> None:
    """Where our handler is all that there is an event of ours is printed without a record."""
    only_ours()
    log.info("picked", hero="Invoker")
    log.emit(logging.INFO, "picked again", {})
    assert made == []
    assert [line["event"] for line in printed.lines] == ["picked", "picked again"]


@pytest.mark.parametrize("name", [NAME, "records.of", "records", ""])
def test_every_handler_on_the_way_sees_each_event(printed: Printed, name: str) -> None:
    """A handler that is put on the logger, on one above it or on the root at any time sees a record with the fields."""
    only_ours()
    log.info("before")
    logger, handler = logging.getLogger(name), Watched()
    logger.addHandler(handler)
    try:
        log.info("picked", hero="Invoker")
    finally:
        logger.removeHandler(handler)
    log.info("after")
    [record] = handler.seen
    assert (record.getMessage(), record.__dict__["hero"], record.name) == ("picked", "Invoker", NAME)
    assert (record.filename, record.funcName) == ("test_records.py", "test_every_handler_on_the_way_sees_each_event")
    assert [line["event"] for line in printed.lines] == ["before", "picked", "after"]


def test_every_filter_on_the_way_is_asked(printed: Printed) -> None:
    """A filter of the logger, and one of our handler, decides as over any other record."""
    only_ours()
    for filterer in (logging.getLogger(NAME), our_handler()):
        filterer.addFilter(lambda record: record.__dict__["hero"] != "Pudge")
        log.info("picked", hero="Pudge")
        filterer.filters.clear()
    our_handler().setLevel(logging.ERROR)
    log.info("picked", hero="Axe")
    our_handler().setLevel(logging.NOTSET)
    assert printed.lines == []


def test_a_logger_that_does_not_propagate_is_silent(printed: Printed) -> None:
    """What stays below a logger does not reach us."""
    only_ours()
    logger = logging.getLogger("records.of")
    logger.propagate = False
    log.info("picked")
    logger.propagate = True
    assert printed.lines == []


@pytest.mark.parametrize("method", ["handle", "callHandlers"])
def test_agents_see_each_event(printed: Printed, method: str) -> None:
    """Error trackers put functions of their own in the place of stdlib's methods, tests also on a single logger."""
    only_ours()
    stdlibs = getattr(logging.Logger, method)
    seen: list[str] = []

    def agents(self: logging.Logger, record: logging.LogRecord) -> Any:
        seen.append(record.msg)
        return stdlibs(self, record)

    with patch.object(logging.Logger, method, agents):
        log.info("everywhere")
    logger = logging.getLogger(NAME)
    with patch.object(logger, method, lambda record: agents(logger, record)):
        log.info("here")
    assert seen == ["everywhere", "here"]
    assert [line["event"] for line in printed.lines] == ["everywhere", "here"]


def test_a_factory_of_the_application_makes_the_records(printed: Printed) -> None:
    """A record factory that the application sets makes all records, ours included, and stays when we are switched off.

    What it puts on every record says nothing of an event of ours.
    """
    only_ours()
    before = logging.getLogRecordFactory()

    def applications(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        record.__dict__["shard"] = 7
        return record

    logging.setLogRecordFactory(applications)
    log.info("picked")
    logging.getLogger(NAME).warning("careful")
    configure(Settings(enabled=False))
    assert logging.getLogRecordFactory() is applications
    assert [(line["event"], line.get("shard")) for line in printed.lines] == [("picked", None), ("careful", 7)]


EVENTS = st.text(max_size=20) | st.sampled_from(["100 %", "%s", "{}"])
KEYS = st.text(min_size=1, max_size=10) | st.sampled_from(
    ["event", "level", "msg", "args", "message", "taskName", "exc_info", "stacklevel", "password", "logger", "request.id"]
)
KEYS = KEYS.filter(lambda key: key != "stack_info")  # of two calls in two lines
VALUES = st.none() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.text(max_size=5), max_size=3)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=EVENTS, fields=st.dictionaries(KEYS, VALUES, max_size=5), level=st.sampled_from([20, 25, 30, 40]))
def test_the_line_is_the_same_with_and_without_a_record(
    printed: Printed, name: str, fields: dict[str, Any], level: int
) -> None:
    """Whether somebody else listens does not show in the line."""
    only_ours()
    handler = Watched()
    printed.clear()
    with bind_fields(**{"request.id": "abc", "labels": ["draft"]}):
        log.log(level, name, **fields)
        logging.getLogger(NAME).addHandler(handler)
        try:
            log.log(level, name, **fields)
        finally:
            logging.getLogger(NAME).removeHandler(handler)
    alone, watched = map(json.loads, printed.text.removesuffix("\n").split("\n"))
    assert alone | {"timestamp": ""} == watched | {"timestamp": ""}
    assert len(handler.seen) == 1


MOMENT = {"created", "msecs", "relativeCreated"}


def attributes(make: Callable[..., logging.LogRecord], *args: Any) -> dict[str, Any]:
    return vars(make(*args))
