"""What stands on a line, whoever logs it."""

import json
import logging
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.contextvars import bind_contextvars

from dtx_telemetry.context import bind_fields
from dtx_telemetry.logging import BoundLogger, fields_of, get_logger, set_span_source
from tests.support.pipeline import Printed, only_ours, our_handler, print_lines

log = get_logger()


@pytest.fixture
def printed(tmp_path: Path) -> Printed:
    return print_lines(tmp_path)


def test_order_and_form(printed: Printed) -> None:
    """A line has the four names first, then its own fields, then the context."""
    with bind_fields(**{"request.id": "abc"}):
        log.info("picked", hero="Invoker", pick=1)
    line = printed.last
    assert list(line) == ["timestamp", "level", "logger", "event", "hero", "pick", "request.id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("timestamp"))
    assert line == {
        "level": "info",
        "logger": __name__,
        "event": "picked",
        "hero": "Invoker",
        "pick": 1,
        "request.id": "abc",
    }


@pytest.mark.parametrize("get", [logging.getLogger, structlog.get_logger, get_logger])
def test_every_logger_has_the_context(printed: Printed, get: Any) -> None:
    """Lines of stdlib's, structlog's and our loggers have what is bound."""
    with bind_fields(**{"request.id": "abc"}):
        get("somebody").warning("careful")
    assert printed.last | {"timestamp": ""} == {
        "timestamp": "",
        "level": "warning",
        "logger": "somebody",
        "event": "careful",
        "request.id": "abc",
    }


def test_warnings_are_lines(printed: Printed) -> None:
    """A warning of Python's is a line with the context."""
    with bind_fields(**{"request.id": "abc"}), warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.showwarning = logging._showwarning
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)
    assert printed.last["logger"] == "py.warnings"
    assert printed.last["request.id"] == "abc"
    assert "DeprecationWarning: old ways" in printed.last["event"]


def test_own_fields_win_over_the_context(printed: Printed) -> None:
    """A field of the event replaces what is bound under its name."""
    with bind_fields(user="bound", other=1):
        log.bind(other=2).info("x", user="own")
    assert (printed.last["user"], printed.last["other"]) == ("own", 2)


@pytest.mark.parametrize("name", ["timestamp", "level", "logger", "event"])
def test_our_names_hold_our_values(printed: Printed, name: str) -> None:
    """An application's field named as one of ours is kept with an underscore, given by whatever way."""
    log.info("x", **{name: "theirs"})
    logging.getLogger("lib").info("x", extra={name: "theirs"})
    with bind_fields(**{name: "theirs"}):
        log.info("x")
    for line in printed.lines:
        assert line[name] != "theirs"
        assert line[name + "_"] == "theirs"


def test_two_fields_of_nearly_one_name(printed: Printed) -> None:
    """A renamed field does not take the place of one that has that name already."""
    log.info("x", level=1, level_=2)
    assert {printed.last["level_"], printed.last["level__"]} == {1, 2}


@pytest.mark.parametrize(
    "name",
    ["name", "filename", "args", "msg", "message", "module", "lineno", "process", "asctime", "self", "logger", "levelname"],
)
def test_fields_named_as_attributes_of_records(printed: Printed, name: str) -> None:
    """Any name may be used for a field, those of log records included."""
    log.bind(**{name: 1}).info("x", **{name: "mine"})
    assert "mine" in printed.last.values()


def test_steering_names_with_odd_values(printed: Printed) -> None:
    """What is no exception and no number under exc_info and stacklevel harms nothing, and is kept where it says something."""
    log.info("x", exc_info="mine", stack_info=0, stacklevel="deep")
    assert printed.last["exc_info"] == "mine"


@pytest.mark.parametrize(
    ("template", "args", "event"),
    [
        ("%s won %d", ("Invoker", 3), "Invoker won 3"),
        ("%(a)s", ({"a": 1},), "1"),
        ("100% sure", (), "100% sure"),
        ("%d", ("no number",), "%d ['no number']"),
        ("%s and %s", ("one",), "%s and %s ['one']"),
        ("nothing", ("too", "many"), "nothing ['too', 'many']"),
        ("100% %z", (1,), "100% %z [1]"),
        ("%s", ("%s",), "%s"),
    ],
)
@pytest.mark.parametrize("get", [logging.getLogger, get_logger, structlog.get_logger])
def test_positional_arguments(printed: Printed, get: Any, template: str, args: tuple[Any, ...], event: str) -> None:
    """Arguments are put into the message; such as do not fit stand behind it, and nothing is raised."""
    only_ours()
    get("lib").info(template, *args)
    assert printed.last["event"] == event


@pytest.mark.parametrize(
    ("event", "text"), [(None, ""), (5, "5"), (["a"], "['a']"), (ValueError("x"), "ValueError: x"), (b"a", "a")]
)
def test_events_that_are_no_strings(printed: Printed, event: Any, text: str) -> None:
    """Any object will do as event."""
    log.info(event)
    assert printed.last["event"] == text


def test_event_as_keyword(printed: Printed) -> None:
    """As in structlog, the event may be given by its name."""
    log.info(event="named", a=1)
    assert (printed.last["event"], printed.last["a"]) == ("named", 1)


def test_methods(printed: Printed) -> None:
    """Every method of structlog's loggers is there and has its level."""
    logging.getLogger().setLevel(logging.DEBUG)
    names = ["debug", "info", "warning", "warn", "error", "err", "critical", "fatal", "exception"]
    for name in names:
        getattr(log, name)(name)
    log.log(logging.INFO, "log")
    log.log("WARNING", "log by name")
    levels = [line["level"] for line in printed.lines]
    assert levels == [
        *("debug", "info", "warning", "warning", "error", "error", "critical", "critical", "error"),
        *("info", "warning"),
    ]


async def test_async_methods(printed: Printed) -> None:
    """The methods for coroutines write before they return, with the caller's own place."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    for name in ["ainfo", "awarning", "awarn", "aerror", "acritical", "afatal", "aexception"]:
        await getattr(log, name)(name, a=1)
    await log.alog(20, "alog")
    assert [line["event"] for line in printed.lines][0::7] == ["ainfo", "alog"]
    assert {record.funcName for record in records} == {"test_async_methods"}


def test_binding() -> None:
    """A bound logger is a new one; the one it came from stays as it was."""
    first = get_logger("x", a=1)
    second = first.bind(b=2)
    assert (first._context, second._context) == ({"a": 1}, {"a": 1, "b": 2})
    assert second.unbind("a")._context == {"b": 2}
    assert second.try_unbind("a", "c")._context == {"b": 2}
    assert second.new(c=3)._context == {"c": 3}
    assert second._context == {"a": 1, "b": 2}
    with pytest.raises(KeyError):
        first.unbind("b")


def test_name_of_the_calling_module() -> None:
    """Without a name, a logger has that of the module which asks for it."""
    assert get_logger().name == __name__
    assert get_logger(name="other").name == "other"


def test_structlog_takes_the_module_too(printed: Printed) -> None:
    """structlog's own get_logger, with or without a name, gives one of ours."""
    assert isinstance(structlog.get_logger().bind(), BoundLogger)
    structlog.get_logger().info("x")
    structlog.get_logger("named").info("x")
    assert [line["logger"] for line in printed.lines] == [__name__, "named"]


def test_disabled_level_runs_nothing(printed: Printed) -> None:
    """Below the level not even a field is looked at."""

    class Touchy:
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(name)

    log.debug(Touchy(), Touchy(), field=Touchy())
    assert printed.text == ""


def test_record_for_other_handlers(printed: Printed, caplog: pytest.LogCaptureFixture) -> None:
    """Another handler sees a stable message, the level, the fields, the exception and the place of the call."""
    try:
        raise ValueError("bad")
    except ValueError as error:
        log.error("failed at %s", 5, exc_info=True, hero="Invoker", name="mine")
        raised = error
    record = caplog.records[-1]
    assert (record.msg, record.args, record.getMessage()) == ("failed at %s", (5,), "failed at 5")
    assert (record.levelno, record.levelname, record.name) == (40, "ERROR", __name__)
    assert record.exc_info is not None
    assert record.exc_info[1] is raised
    assert record.hero == "Invoker"  # type: ignore[attr-defined]
    assert fields_of(record) == {"hero": "Invoker", "name": "mine"}
    assert (record.filename, record.funcName) == ("test_lines.py", "test_record_for_other_handlers")
    assert record.lineno == raised.__traceback__.tb_lineno + 2  # type: ignore[union-attr]


def test_stacklevel(printed: Printed, caplog: pytest.LogCaptureFixture) -> None:
    """A helper can log in its caller's name."""

    def helper() -> None:
        log.info("x", stacklevel=2)

    helper()
    assert caplog.records[-1].funcName == "test_stacklevel"
    assert list(printed.last) == ["timestamp", "level", "logger", "event"]


def test_stack(printed: Printed) -> None:
    """The stack is printed where it is asked for."""
    log.info("x", stack_info=True)
    logging.getLogger("lib").info("x", stack_info=True)
    assert all("test_stack" in line["stack"] for line in printed.lines)


def test_record_factory_of_others(printed: Printed) -> None:
    """A record factory that somebody set makes our records too; what it adds is on the lines of others, not on our events."""

    class Record(logging.LogRecord):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.host = "web1"
            super().__init__(*args, **kwargs)

    logging.setLogRecordFactory(Record)
    log.info("x", a=1)
    assert "host" not in printed.last
    assert (printed.last["a"], "lineno" in printed.last) == (1, False)
    log.info("x", host="mine")
    assert printed.last["host"] == "mine"
    logging.getLogger("lib").warning("y")
    assert printed.last["host"] == "web1"


def test_filters_of_others(printed: Printed) -> None:
    """What a filter adds to a record is on the line, and one on our handler may keep records out."""

    def mark(record: logging.LogRecord) -> bool:
        record.host = "web1"
        return record.msg != "secret"

    our_handler().addFilter(mark)
    log.info("secret")
    log.info("x", a=1)
    assert printed.last["host"] == "web1"
    assert len(printed.lines) == 1


def test_formatters_of_others_leave_no_trace(printed: Printed) -> None:
    """What another handler's formatter writes into a record is no field of ours."""
    other = logging.StreamHandler(sys.stderr)
    other.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.getLogger().handlers.insert(0, other)
    log.info("x")
    assert list(printed.last) == ["timestamp", "level", "logger", "event"]


def test_uvicorns_coloured_message(printed: Printed) -> None:
    """uvicorn's second, coloured message is left out."""
    logging.getLogger("uvicorn.error").info("started", extra={"color_message": "\x1b[1mstarted\x1b[0m"})
    assert "color_message" not in printed.last


def test_djangos_request_is_left_out(printed: Printed) -> None:
    """Django's loggers hand the request along for mails: it is no field of the line."""
    logging.getLogger("django.request").warning("Not Found: /x", extra={"status_code": 404, "request": object()})
    assert printed.last["status_code"] == 404
    assert "request" not in printed.last


def test_custom_level(printed: Printed) -> None:
    """A level of the application's own has its name, a standard one ours, whatever others call it."""
    logging.addLevelName(25, "NOTICE")
    logging.addLevelName(30, "\x1b[33mWARN\x1b[0m")
    try:
        log.log(25, "x")
        log.warning("x")
    finally:
        logging.addLevelName(30, "WARNING")
        logging._levelToName.pop(25)
        logging._nameToLevel.pop("NOTICE")
    assert [line["level"] for line in printed.lines] == ["notice", "warning"]


def test_records_from_elsewhere(printed: Printed) -> None:
    """A record that was made by hand or came from another process is printed, whatever it lacks."""
    logger = logging.getLogger("lib")
    logger.handle(
        logging.makeLogRecord({"msg": "sent", "levelno": 30, "levelname": "WARNING", "exc_text": "Traceback ...", "a": 1})
    )
    assert (printed.last["event"], printed.last["exception"], printed.last["a"]) == ("sent", "Traceback ...", 1)
    logger.handle(logging.makeLogRecord({"created": "never", "msg": "odd", "levelno": 20}))
    assert printed.last["event"] == "telemetry_failed"
    assert printed.last["message"] == "odd"


def test_key_that_is_no_string(printed: Printed) -> None:
    """Even a field whose name is no string is printed."""
    logging.getLogger("lib").info("x", extra={1: "one", "1": "text", None: 0})  # type: ignore[dict-item]
    assert (printed.last["1_"], printed.last["None"]) == ("text", 0) or printed.last["1"] == "text"


def test_time_of_the_event(printed: Printed) -> None:
    """The timestamp is the record's, to the microsecond, in UTC."""
    for created in (1768472625.25, 1768472624.5, 1768472626.0, -0.5):
        record = logging.makeLogRecord({"msg": "x", "levelno": 20, "levelname": "INFO", "created": created})
        logging.getLogger().handle(record)
    assert [line["timestamp"] for line in printed.lines] == [
        "2026-01-15T10:23:45.250000Z",
        "2026-01-15T10:23:44.500000Z",
        "2026-01-15T10:23:46.000000Z",
        "1969-12-31T23:59:59.500000Z",
    ]


def test_span(printed: Printed) -> None:
    """A registered source puts the span's ids on each line, until it is taken away."""
    set_span_source(lambda: {"trace_id": "0" * 31 + "1", "span_id": "0" * 15 + "1"})
    try:
        log.info("x", span_id="mine")
    finally:
        set_span_source(None)
    log.info("y")
    assert [line.get("trace_id") for line in printed.lines] == ["0" * 31 + "1", None]
    assert printed.lines[0]["span_id"] == "mine"


@pytest.mark.leaves_bound
def test_a_span_and_ids_that_are_bound(printed: Printed) -> None:
    """What is bound may have come along with a message: a line has the ids of the span that it is logged in."""
    bind_contextvars(trace_id="forged", span_id="forged")
    set_span_source(lambda: {"trace_id": "0" * 31 + "1", "span_id": "0" * 15 + "1"})
    try:
        log.info("x")
    finally:
        set_span_source(None)
    log.info("outside any span")
    assert [line["trace_id"] for line in printed.lines] == ["0" * 31 + "1", "forged"]
    assert printed.lines[0]["span_id"] == "0" * 15 + "1"


def test_span_source_that_fails(printed: Printed) -> None:
    """A source that raises costs no line."""

    def broken() -> dict[str, Any]:
        raise RuntimeError

    set_span_source(broken)
    try:
        log.info("x")
    finally:
        set_span_source(None)
    assert len(printed.lines) == 1


def test_plain_text_where_nothing_is_configured(caplog: pytest.LogCaptureFixture) -> None:
    """Before the set-up, events go to stdlib logging as plain text, without secrets."""
    logging.getLogger().setLevel(logging.INFO)
    log.info("picked %s", "now", hero="Sand King", password="hunter2", n=1)
    log.info("alone")
    assert [record.getMessage() for record in caplog.records] == [
        'picked now hero="Sand King" password=[redacted] n=1',
        "alone",
    ]
    assert caplog.records[0].args == ()


def test_off_again_when_our_handler_is_gone(printed: Printed, caplog: pytest.LogCaptureFixture) -> None:
    """Where our handler was taken off, as a later dictConfig does, events are plain text for the handlers that are there."""
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if type(handler).__name__ != "ConsoleHandler"]
    log.info("picked", hero="Invoker")
    assert caplog.messages[-1] == "picked hero=Invoker"


def test_json_is_one_line(printed: Printed) -> None:
    """Whatever line breaks are in an event or value, it is one line."""
    log.info("a\nb\r\nc\u2028d", value="x\n" * 3)
    assert printed.text.count("\n") == 1
    assert json.loads(printed.text)["value"] == "x\n" * 3
