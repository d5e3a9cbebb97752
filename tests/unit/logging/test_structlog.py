"""Applications that configure structlog themselves: theirs process, ours render, tools that capture see all."""

import io
import logging
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_structlog
import structlog
from structlog.processors import CallsiteParameter, CallsiteParameterAdder

from dtx_telemetry.config import Settings
from dtx_telemetry.context import bind_fields
from dtx_telemetry.logging import configure, get_logger, restore
from dtx_telemetry.logging.records import exception_of
from tests.support.pipeline import Printed, only_ours, print_lines

ours = get_logger("ours")


def mask(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Mask what only this application knows to be private; drop it where it is bound."""
    if "nickname" in event:
        event["nickname"] = "***"
    event.pop("address", None)
    return event


#: structlog's documented chains: rendered at once, and by stdlib's formatter.
SHARED = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso"),
    structlog.processors.StackInfoRenderer(),
    mask,
]
CHAINS: dict[str, list[Any]] = {
    "rendered": [*SHARED, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
    "tracebacks as dicts": [*SHARED, structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()],
    "development": [*SHARED, structlog.dev.set_exc_info, structlog.dev.ConsoleRenderer()],
    "by stdlib's formatter": [
        structlog.stdlib.filter_by_level,
        *SHARED,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    "as stdlib's arguments": [*SHARED, structlog.stdlib.render_to_log_kwargs],
    "event renamed": [*SHARED, structlog.processors.EventRenamer("msg"), structlog.processors.LogfmtRenderer()],
}
WRAPPERS = [structlog.stdlib.BoundLogger, structlog.make_filtering_bound_logger(logging.INFO)]


def configure_structlog(processors: list[Any], wrapper: Any = structlog.stdlib.BoundLogger) -> None:
    """Configure structlog as an application does in its settings."""
    structlog.configure(processors=processors, wrapper_class=wrapper, logger_factory=structlog.stdlib.LoggerFactory())


def both() -> list[Any]:
    """Our logger and structlog's own."""
    return [ours, structlog.get_logger("theirs")]


@pytest.mark.parametrize("wrapper", WRAPPERS, ids=["stdlib", "filtering"])
@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_processors_run_and_ours_render(tmp_path: Path, chain: list[Any], wrapper: Any) -> None:
    """An application's processors change our loggers' events and its own alike, and each line is one of ours."""
    configure_structlog(chain, wrapper)
    printed = print_lines(tmp_path)
    with bind_fields(**{"request.id": "abc"}):
        for logger in both():
            logger.info("%s won", "Invoker", nickname="Dendi", hero="Invoker")
    for line, name in zip(printed.lines, ("ours", "theirs"), strict=True):
        assert set(line) == {"timestamp", "level", "logger", "event", "nickname", "hero", "request.id"}
        assert (line["level"], line["logger"], line["event"]) == ("info", name, "Invoker won")
        assert (line["nickname"], line["request.id"]) == ("***", "abc")


def test_what_a_processor_takes_away_stays_away(tmp_path: Path) -> None:
    """A bound field that a processor drops is not on the line; the scope's own id is, and what is bound stays bound."""
    configure_structlog(CHAINS["rendered"])
    printed = print_lines(tmp_path)
    with bind_fields(address="Main Street 5", city="Seattle"):
        ours.info("x")
        assert structlog.contextvars.get_contextvars()["address"] == "Main Street 5"
    assert "address" not in printed.last
    assert printed.last["city"] == "Seattle"


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_exceptions_are_ours_to_render(tmp_path: Path, chain: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    """Exceptions stand on the line as on any other, and other handlers get them with the record."""
    configure_structlog(chain)
    printed = print_lines(tmp_path)
    for logger in both():
        try:
            raise ValueError("bad")
        except ValueError:
            logger.exception("failed")
        assert printed.last["error"] == "ValueError: bad"
        assert printed.last["exception"].startswith("Traceback (most recent call last)")
        assert type(exception_of(caplog.records[-1])) is ValueError
        assert caplog.records[-1].funcName == "test_exceptions_are_ours_to_render"


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_arguments_that_do_not_fit(tmp_path: Path, chain: list[Any]) -> None:
    """They stand behind the text, and nothing is raised; secrets in those that fit are redacted."""
    configure_structlog(chain)
    printed = print_lines(tmp_path)
    only_ours()  # pytest's handlers raise for what ours has to bear
    for logger in both():
        logger.info("%d", "no number")
        logger.info("got %s", {"password": "hunter2"})
    assert [line["event"] for line in printed.lines][::2] == ["%d ['no number']"] * 2
    assert "hunter2" not in printed.text


def test_a_wrapper_class_of_the_application_stays(tmp_path: Path) -> None:
    """Methods that an application gave its loggers work on."""

    class Auditing(structlog.stdlib.BoundLogger):
        def audit(self, event: str, **fields: Any) -> None:
            self.warning(event, audited=True, **fields)

    configure_structlog([structlog.processors.JSONRenderer()], Auditing)
    printed = print_lines(tmp_path)
    structlog.get_logger("theirs").bind(tenant=5).audit("deleted", hero="Invoker")
    line = printed.last
    assert (line["level"], line["event"], line["audited"], line["tenant"]) == ("warning", "deleted", True, 5)


def test_loggers_that_print_print_no_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With structlog's own PrintLogger configured, its lines come through our pipeline."""
    structlog.configure(processors=[structlog.dev.ConsoleRenderer()])
    printed = print_lines(tmp_path)
    structlog.get_logger().warning("x", a=1)
    assert (printed.last["logger"], printed.last["a"]) == (__name__, 1)
    assert capsys.readouterr().out == ""


def test_a_later_configuration_counts_for_our_loggers(tmp_path: Path) -> None:
    """A logger of ours that was made before structlog was configured anew runs the new processors."""
    printed = print_lines(tmp_path)
    bound = ours.bind(nickname="Dendi")
    configure_structlog(CHAINS["rendered"])
    bound.info("x")
    ours.emit(logging.INFO, "library's own", {"nickname": "Dendi"})
    assert [(line["event"], line["nickname"]) for line in printed.lines] == [("x", "***"), ("library's own", "***")]


def test_a_later_configuration_is_taken_over(tmp_path: Path) -> None:
    """Another app's ready() may configure structlog after ours; the first middleware takes that over."""
    printed = print_lines(tmp_path)
    configure_structlog(CHAINS["rendered"])
    restore()
    structlog.get_logger("theirs").info("x", nickname="Dendi")
    assert (printed.last["event"], printed.last["nickname"]) == ("x", "***")
    configure(Settings(enabled=False))
    assert structlog.get_config()["processors"] == CHAINS["rendered"]


def test_the_applications_own_list_is_not_changed(tmp_path: Path) -> None:
    """Its processors are copied, and put back when telemetry is switched off."""
    chain = list(CHAINS["rendered"])
    configure_structlog(chain)
    print_lines(tmp_path)
    assert chain == CHAINS["rendered"]
    configure(Settings(enabled=False))
    assert structlog.get_config()["processors"] is chain


def test_with_telemetry_off_processors_mask_too(caplog: pytest.LogCaptureFixture) -> None:
    """Where telemetry is off our loggers' plain text has gone through the application's processors."""
    configure(Settings(enabled=False, redact_keys=("iban",)))
    configure_structlog(CHAINS["rendered"])
    logging.getLogger().setLevel(logging.INFO)
    ours.info("x %s", {"password": "hunter2"}, nickname="Dendi", iban="DE00")
    message = caplog.messages[-1]
    assert "Dendi" not in message
    assert "hunter2" not in message
    assert "DE00" not in message


CALLSITE = [CallsiteParameter.FILENAME, CallsiteParameter.FUNC_NAME, CallsiteParameter.MODULE]


def appended(folder: Path) -> Printed:
    """Our set-up first, then a processor appended to the configured list."""
    printed = print_lines(folder)
    structlog.get_config()["processors"].append(CallsiteParameterAdder(CALLSITE))
    return printed


def configured(folder: Path) -> Printed:
    """The application's own configuration first."""
    configure_structlog([*SHARED, CallsiteParameterAdder(CALLSITE), structlog.processors.JSONRenderer()])
    return print_lines(folder)


@pytest.mark.parametrize("set_up", [appended, configured])
async def test_callsites_are_the_callers(tmp_path: Path, set_up: Callable[[Path], Printed]) -> None:
    """CallsiteParameterAdder names the file and function that logs, in our asynchronous methods too."""
    printed = set_up(tmp_path)
    for logger in both():
        logger.info("x")
    await ours.ainfo("y")  # structlog's own names a thread's function in its older versions
    assert len(printed.lines) == 3
    for line in printed.lines:
        assert (line["filename"], line["func_name"]) == ("test_structlog.py", "test_callsites_are_the_callers")


@pytest.mark.parametrize("chain", [None, *CHAINS.values()], ids=["none", *CHAINS])
def test_capture_logs(tmp_path: Path, chain: list[Any] | None) -> None:
    """structlog's capture_logs gets the events of both kinds of loggers, and nothing is printed meanwhile."""
    if chain is not None:
        configure_structlog(chain)
    printed = print_lines(tmp_path)
    loggers = both()
    with structlog.testing.capture_logs() as entries:
        for logger in loggers:
            logger.info("x", a=1)
    ours.info("after")
    assert entries == [{"event": "x", "a": 1, "log_level": "info"}] * 2
    assert [line["event"] for line in printed.lines] == ["after"]


@pytest.fixture(params=[None, *CHAINS], ids=["none", *CHAINS])
def printed(request: pytest.FixtureRequest, tmp_path: Path) -> Printed:
    """Our pipeline over each configuration of structlog."""
    if request.param is not None:
        configure_structlog(CHAINS[request.param])
    return print_lines(tmp_path)


def test_pytest_structlog(printed: Printed, log: pytest_structlog.StructuredLogCapture) -> None:
    """pytest-structlog's fixture has the events of our loggers, the library's own and the application's."""
    ours.info("by us", hero="Invoker")
    ours.emit(logging.INFO, "request_completed", {"http.status_code": 200})
    structlog.get_logger("theirs").warning("by structlog")
    restore()
    assert log.has("by us", hero="Invoker")
    assert log.has("request_completed", **{"http.status_code": 200})
    assert log.has("by structlog")
    assert len(log.events) == 3
    assert printed.lines == []


def test_after_pytest_structlog(printed: Printed, request: pytest.FixtureRequest) -> None:
    """After such a test everything is printed as before."""
    capture = pytest_structlog.StructuredLogCapture()
    structlog.configure(processors=[capture], cache_logger_on_first_use=False)
    ours.info("captured")
    capture._reset()
    for logger in both():
        logger.info("printed")
    assert [line["event"] for line in printed.lines] == ["printed", "printed"]


def log_failure(logger: Any) -> None:
    """Log an exception in a frame that looks the same each time."""
    try:
        raise ValueError("bad")
    except ValueError:
        logger.exception("failed")


def what_others_get(chain: list[Any], set_up: Callable[[], object]) -> list[str]:
    """What a file of the application's gets of structlog's loggers, without the times."""
    configure_structlog(chain)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    theirs = logging.getLogger("theirs")
    theirs.addHandler(handler)
    theirs.setLevel(logging.INFO)
    set_up()
    try:
        logger = structlog.get_logger("theirs")
        with bind_fields(tenant="dota", address="Main Street 5"):
            logger.info("picked %s", "now", hero="Invoker", nickname="Dendi")
            logger.bind(a=1).warning("stacked", spells=["quas"])
            log_failure(logger)
            theirs.warning("of stdlib", extra={"shard": 3})
    finally:
        theirs.removeHandler(handler)
        configure(Settings(enabled=False))
    return re.sub(r"\d{4}-\d\d-\d\d[T ][\d:.]+Z?|line \d+", "", stream.getvalue()).splitlines()


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_other_handlers_get_what_they_got_without_us(tmp_path: Path, chain: list[Any]) -> None:
    """A file under structlog's ProcessorFormatter, however the application's chain ends."""
    without = what_others_get(chain, lambda: None)
    with_us = what_others_get(chain, lambda: print_lines(tmp_path))
    assert with_us == without
    assert len(without) >= 4


def test_our_own_events_under_a_processor_formatter(tmp_path: Path) -> None:
    """They come as event dicts, as structlog's own loggers' do."""
    seen: list[dict[str, Any]] = []
    chain = CHAINS["by stdlib's formatter"]
    configure_structlog(chain)
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[lambda _, __, event: seen.append(dict(event)) or ""]))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
    printed = print_lines(tmp_path)
    ours.info("picked", hero="Invoker")
    ours.emit(logging.INFO, "request_completed", {"http.status_code": 200})
    assert [(event["event"], event["level"], event["_from_structlog"]) for event in seen] == [
        ("picked", "info", True),
        ("request_completed", "info", True),
    ]
    assert (seen[0]["hero"], seen[1]["http.status_code"]) == ("Invoker", 200)
    assert [line["event"] for line in printed.lines] == ["picked", "request_completed"]


def test_what_is_noted_for_our_line_does_not_travel(tmp_path: Path) -> None:
    """A record that is pickled, for a log server, holds plain text."""
    configure_structlog(CHAINS["rendered"])
    print_lines(tmp_path)
    kept: list[logging.LogRecord] = []
    handler = logging.NullHandler()
    handler.handle = kept.append  # type: ignore[method-assign, assignment]
    logging.getLogger().addHandler(handler)
    try:
        raise ValueError("bad")
    except ValueError:
        structlog.get_logger("theirs").exception("failed")
    assert type(pickle.loads(pickle.dumps(kept[0].msg))) is str
