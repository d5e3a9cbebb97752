"""Beside other handlers: they get what they got before, each line is printed once, and logging may be configured again."""

import io
import logging
import logging.config
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.utils.log import DEFAULT_LOGGING

from dtx_telemetry import operation
from dtx_telemetry.config import Settings
from dtx_telemetry.logging import configure, get_logger, restore
from tests.support.pipeline import Printed, only_ours, print_lines

log = get_logger("mysite")
own = get_logger("dtx_telemetry.tests")


class Kept(logging.Handler):
    """A handler of the application's: a file, a mail."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def messages(self) -> list[str]:
        return [record.getMessage() for record in self.records]


kept = Kept()


@pytest.fixture(autouse=True)
def _kept() -> Iterator[None]:
    kept.records = []
    yield
    configure(Settings(enabled=False))


def keep() -> Kept:
    """Return the handler that LOGGING here names."""
    return kept


def apply(**given: Any) -> None:
    """Configure logging as a project does, with a console, a file and a mail handler to choose from."""
    handlers = {
        "console": {"class": "logging.StreamHandler", **given.pop("console", {})},
        "stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"},
        "file": {"()": keep},
    }
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "handlers": handlers, **given})


def events(printed: Printed) -> list[str]:
    return [line["event"] for line in printed.lines]


BOTH = {"handlers": ["console", "file"]}
LOGGINGS: dict[str, dict[str, Any]] = {
    "a logger that keeps its lines, and the root": {"loggers": {"mysite": {**BOTH, "propagate": False}}, "root": BOTH},
    "a logger alone": {"loggers": {"mysite": {**BOTH, "propagate": False, "level": "INFO"}}, "root": {}},
    "the root alone": {"root": BOTH},
    "two consoles": {"root": {"handlers": ["console", "stdout", "file"]}},
    "the same console twice": {"loggers": {"mysite": {"handlers": ["console"]}}, "root": BOTH},
}


@pytest.mark.parametrize("given", LOGGINGS.values(), ids=LOGGINGS)
def test_each_line_comes_once_to_each(tmp_path: Path, given: dict[str, Any]) -> None:
    """On the console and in the file, by stdlib's loggers and by ours, however handlers and propagation are set."""
    apply(**given)
    printed = print_lines(tmp_path)
    logging.getLogger("mysite.shop").warning("theirs")
    log.warning("ours")
    assert events(printed) == ["theirs", "ours"]
    assert kept.messages == ["theirs", "ours"]


def test_info_on_the_console_and_debug_in_the_file(tmp_path: Path) -> None:
    """Levels of handlers are what they were."""
    apply(console={"level": "INFO"}, root={**BOTH, "level": "DEBUG"})
    printed = print_lines(tmp_path)
    logging.getLogger("mysite").debug("detail")
    logging.getLogger("mysite").info("fact")
    log.debug("our detail")
    assert events(printed) == ["fact"]
    assert kept.messages == ["detail", "fact", "our detail"]


def test_log_level_is_the_level_of_all_of_ours(tmp_path: Path) -> None:
    """In place of theirs. It lowers the root logger to it, and never raises it."""
    apply(console={"level": "WARNING"}, root={**BOTH, "level": "DEBUG"})
    printed = print_lines(tmp_path, log_level=logging.INFO)
    logging.getLogger("mysite").info("fact")
    assert events(printed) == ["fact"]
    assert logging.getLogger().level == logging.DEBUG
    configure(Settings(enabled=False))
    logging.getLogger().setLevel(logging.ERROR)
    print_lines(tmp_path, log_level=logging.INFO)
    assert logging.getLogger().level == logging.INFO
    configure(Settings(enabled=False))
    assert logging.getLogger().level == logging.ERROR


@pytest.mark.parametrize(("given", "level"), [(None, logging.INFO), (logging.ERROR, logging.ERROR)])
def test_a_root_logger_that_nobody_configured(tmp_path: Path, given: int | None, level: int) -> None:
    """It has LOG_LEVEL; handlers of pytest, which stand on it here, say nothing of how the application wants it."""
    print_lines(tmp_path, log_level=given)
    assert logging.getLogger().level == level


def test_our_events_under_a_root_logger_at_warning(tmp_path: Path) -> None:
    """Which is common, and does not take them away. LOGGING may, by naming the logger."""
    apply(root={"handlers": ["console"], "level": "WARNING"})
    printed = print_lines(tmp_path)
    own.emit(logging.INFO, "request_completed", {})
    log.info("quiet")
    assert events(printed) == ["request_completed"]
    configure(Settings(enabled=False))
    apply(root={"handlers": ["console"], "level": "WARNING"}, loggers={"dtx_telemetry": {"level": "ERROR"}})
    printed = print_lines(tmp_path)
    printed.clear()
    own.emit(logging.INFO, "request_completed", {})
    assert events(printed) == []


def test_log_levels_say_what_is_printed_and_take_nothing_from_others(tmp_path: Path) -> None:
    """More of a logger than the console's own level lets through, or less; the file gets what it got, or more."""
    apply(console={"level": "WARNING"}, root={**BOTH, "level": "INFO"}, loggers={"mysite": {"level": "DEBUG"}})
    printed = print_lines(tmp_path, log_levels={"mysite": logging.ERROR, "django.db": logging.DEBUG, "mysite.shop": 20})
    for name in ("mysite", "mysite.shop.cart", "django.db.backends", "other"):
        for level in (logging.DEBUG, logging.INFO, logging.ERROR):
            logging.getLogger(name).log(level, f"{name} {level}")
            get_logger(name).log(level, f"ours {name} {level}")
    theirs = [event for event in events(printed) if not event.startswith("ours ")]
    assert theirs == [
        *("mysite 40", "mysite.shop.cart 20", "mysite.shop.cart 40"),
        *("django.db.backends 10", "django.db.backends 20", "django.db.backends 40", "other 40"),
    ]
    assert [event.removeprefix("ours ") for event in events(printed) if event.startswith("ours ")] == theirs
    assert {"mysite 10", "mysite 20", "mysite.shop.cart 10", "other 20"} <= set(kept.messages)


def test_a_quiet_logger_that_logging_names_keeps_its_file(tmp_path: Path) -> None:
    """kombu's debug lines go to the file that asks for them."""
    apply(loggers={"kombu": {"handlers": ["file"], "level": "DEBUG"}})
    print_lines(tmp_path)
    logging.getLogger("kombu").debug("heartbeat")
    assert kept.messages == ["heartbeat"]


def test_somebody_sets_the_stream_of_ours(tmp_path: Path) -> None:
    """As Django's own tests do: then it writes there as the handler did whose place it has, until the stream is set back."""
    apply(console={"level": "INFO"}, loggers={"mysite": {"handlers": ["console"], "propagate": False}})
    printed = print_lines(tmp_path)
    handler: Any = logging.getLogger("mysite").handlers[0]
    found, handler.stream = handler.stream, io.StringIO()
    logging.getLogger("mysite").warning("captured %s", "text")
    log.warning("captured too")
    handler.flush()
    assert handler.stream.getvalue() == "captured text\ncaptured too\n"
    handler.stream = found
    log.warning("printed")
    assert events(printed) == ["printed"]
    captured = io.StringIO()
    assert handler.setStream(captured) is found
    log.warning("again")
    assert captured.getvalue() == "again\n"


def test_djangos_own_logging_with_debug(tmp_path: Path, settings: Any) -> None:
    """Its console handler on ``django`` has a filter; with ours on the root a line still comes once."""
    logging.config.dictConfig(DEFAULT_LOGGING)
    settings.DEBUG = True
    printed = print_lines(tmp_path)
    logging.getLogger("django.db").warning("once")
    settings.DEBUG = False
    logging.getLogger("django.db").warning("then")
    assert events(printed) == ["once", "then"]


INI = """
[loggers]
keys=root,alembic
[handlers]
keys=console
[formatters]
keys=plain
[logger_root]
level=WARN
handlers=console
[logger_alembic]
level=INFO
handlers=
qualname=alembic
[handler_console]
class=StreamHandler
args=(sys.stderr,)
formatter=plain
[formatter_plain]
format=%(message)s
"""


def dict_config(folder: Path) -> None:
    logging.config.dictConfig({"version": 1, "handlers": {"console": {"class": "logging.StreamHandler"}}})


def dict_config_of_the_root(folder: Path) -> None:
    handlers = {"console": {"class": "logging.StreamHandler"}}
    logging.config.dictConfig({"version": 1, "handlers": handlers, "root": {"handlers": ["console"], "level": "INFO"}})


def empty_dict_config(folder: Path) -> None:
    logging.config.dictConfig({"version": 1})


def file_config(folder: Path) -> None:
    (folder / "alembic.ini").write_text(INI)
    logging.config.fileConfig(folder / "alembic.ini")


def basic_config(folder: Path) -> None:
    logging.basicConfig(force=True, level=logging.INFO)


def server(folder: Path) -> None:
    """As uvicorn, gunicorn and hypercorn do: a handler on a logger of their own."""
    handler = logging.StreamHandler()
    logging.getLogger("mysite").addHandler(handler)


CONFIGURING = [dict_config, dict_config_of_the_root, empty_dict_config, file_config, basic_config, server]


@pytest.mark.parametrize("configure_again", CONFIGURING)
def test_logging_configured_again_in_a_running_process(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], configure_again: Callable[[Path], None]
) -> None:
    """Our own events are not lost, and from the next scope on everything is as before."""
    printed = print_lines(tmp_path)
    own.emit(logging.INFO, "before", {})
    configure_again(tmp_path)
    own.emit(logging.INFO, "meanwhile", {})
    assert events(printed) == ["before", "meanwhile"]
    configure_again(tmp_path)
    with operation("turn"):
        logging.getLogger("mysite").disabled = False  # that is the application's wish, and W007's to tell
        logging.getLogger("mysite").warning("within")
    assert events(printed)[2:] == ["within", "operation_completed"]
    assert "within" not in "".join(capfd.readouterr())


def test_a_server_that_logs_before_the_first_request(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """From its second line on there is one of each, ours."""
    printed = print_lines(tmp_path)
    server(tmp_path)
    for text in ("starting", "listening", "ready"):
        logging.getLogger("mysite").warning(text)
    assert events(printed) == ["starting", "listening", "ready"]
    assert "".join(capfd.readouterr()).splitlines() == ["starting"]


def test_nothing_is_looked_at_while_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question is one at each scope."""
    print_lines(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("dtx_telemetry.logging.install.every_logger", None)
        with operation("turn"):
            restore()


def test_a_logger_class_whose_records_have_more(tmp_path: Path) -> None:
    """ddtrace puts its ids on each record by ``makeRecord``: they are on our events as on everybody's."""

    class Injecting(logging.Logger):
        def makeRecord(self, *args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: N802 - stdlib's name
            record = super().makeRecord(*args, **kwargs)
            record.__dict__["dd.trace_id"] = "7"
            return record

    printed = print_lines(tmp_path)
    only_ours()
    found = logging.getLoggerClass()
    logging.setLoggerClass(Injecting)
    try:
        ours, theirs = get_logger("injected.ours"), logging.getLogger("injected.theirs")
    finally:
        logging.setLoggerClass(found)
    ours.info("ours", hero="Invoker")
    theirs.warning("theirs")
    assert [(line["event"], line["dd.trace_id"]) for line in printed.lines] == [("ours", "7"), ("theirs", "7")]


def test_opentelemetrys_instrumentor_beside_us(tmp_path: Path) -> None:
    """Its copies of the ids, and zeros outside of spans, are on no line; formats of other handlers have them."""
    printed = print_lines(tmp_path)
    logging.getLogger().addHandler(kept)
    make = logging.getLogRecordFactory()

    def instrumented(*args: Any, **kwargs: Any) -> logging.LogRecord:
        """As ``opentelemetry.instrumentation.logging`` does."""
        record = make(*args, **kwargs)
        record.__dict__.update(otelSpanID="0", otelTraceID="0", otelTraceSampled=False, otelServiceName="")
        return record

    logging.setLogRecordFactory(instrumented)
    logging.getLogger("lib").warning("theirs", extra={"otelColour": "red"})
    log.info("ours")
    names = [[name for name in line if name.startswith("otel")] for line in printed.lines]
    assert names == [["otelColour"], []]
    assert all("otelTraceID" in record.__dict__ for record in kept.records)
    assert not [key for record in kept.records for key in record.__dict__ if "dtx" in key]  # they export it all


def test_an_agent_that_puts_methods_on_records(tmp_path: Path) -> None:
    """As New Relic's does with ``local_decorating``: other handlers write what it wants, and they are no fields of a line."""
    printed = print_lines(tmp_path)
    logging.getLogger().addHandler(kept)
    call_handlers = logging.Logger.callHandlers

    def decorating(logger: logging.Logger, record: Any) -> None:
        record._original = message = record.getMessage
        record.getMessage = lambda: f"{message()} LINKING"
        call_handlers(logger, record)

    with patch.object(logging.Logger, "callHandlers", decorating):
        log.info("ours", hero="Invoker")
        logging.getLogger("lib").warning("theirs %s", 1, extra={"hero": "Invoker"})
    assert [list(line)[3:] for line in printed.lines] == [["event", "hero"]] * 2
    assert [line["event"] for line in printed.lines] == ["ours", "theirs 1"]
    assert [record.getMessage() for record in kept.records] == ["ours LINKING", "theirs 1 LINKING"]


def test_a_field_that_is_named_like_a_method_of_records(tmp_path: Path) -> None:
    """It hides no method from other handlers."""
    printed = print_lines(tmp_path)
    logging.getLogger().addHandler(kept)
    log.info("ours", getMessage=1)
    assert printed.last["getMessage"] == 1
    assert kept.records[0].getMessage() == "ours"


def test_a_stack_has_stdlibs_heading(tmp_path: Path) -> None:
    """Whoever logs it."""
    printed = print_lines(tmp_path)
    log.info("ours", stack_info=True)
    logging.getLogger("lib").warning("theirs", stack_info=True)
    assert [line["stack"].splitlines()[0] for line in printed.lines] == ["Stack (most recent call last):"] * 2
