"""`LineFormatter`: the console's lines in the application's own files; `LOG_FIELD_NAMES`: under a platform's names."""

import json
import logging
import logging.config
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import django
import pytest
from django.core import mail
from django.utils.log import AdminEmailHandler

import dtx_telemetry
from dtx_telemetry import LineFormatter, bind_fields, config, get_logger, startup
from tests.conftest import LogOutput
from tests.support.handlers import URLS, serve
from tests.support.lines import parse_line, parse_lines

log = get_logger("mysite")
Files = Callable[..., Path]


@pytest.fixture
def write_file(tmp_path: Path) -> Iterator[Files]:
    """Have LOGGING write a file with our formatter, beside the console."""

    def write(**formatter: Any) -> Path:
        path = tmp_path / "app.log"
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "formatters": {"line": {"()": "dtx_telemetry.LineFormatter", **formatter}},
                "handlers": {
                    "console": {"class": "logging.StreamHandler"},
                    "file": {"class": "logging.handlers.RotatingFileHandler", "filename": str(path), "formatter": "line"},
                },
                "root": {"handlers": ["console", "file"], "level": "INFO"},
            }
        )
        startup.init_telemetry()
        return path

    yield write
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.close()


def log_all_sorts() -> None:
    with bind_fields(**{"request.id": "r1", "user.id": 7}):
        log.info("picked", hero="Invoker", password="hunter2", spells=("quas", "wex"), message="mine")
        logging.getLogger("lib").warning("from %s", "10.0.0.1\n\x1b[31m", extra={"shard": 3})
        try:
            raise ValueError("no mana")
        except ValueError as error:
            log.exception("failed")
            log.error("failed again", exc_info=error)
    log.info("x" * 20_000)


def test_a_file_has_the_very_lines_of_the_console(log_output: LogOutput, write_file: Files) -> None:
    """Ours and third parties', with the context, without secrets, cut, and each traceback once in each of them."""
    path = write_file(format="json")
    log_all_sorts()
    text = path.read_text()
    assert parse_lines(text) == log_output.lines
    assert len(text.splitlines()) == 5
    assert ["exception" in line for line in log_output.lines] == [False, False, True, False, False]


def test_a_record_that_is_formatted_twice_keeps_its_traceback(log_output: LogOutput, tmp_path: Path) -> None:
    """A rotating file formats each record to see whether it fits, and two files may share one formatter."""
    paths = [tmp_path / "all.log", tmp_path / "errors.log"]
    rotating = {"class": "logging.handlers.RotatingFileHandler", "maxBytes": 1_000_000, "backupCount": 1, "formatter": "line"}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": "dtx_telemetry.LineFormatter"}},
            "handlers": {path.stem: {**rotating, "filename": str(path)} for path in paths},
            "root": {"handlers": [path.stem for path in paths], "level": "INFO"},
        }
    )
    startup.init_telemetry()
    log_all_sorts()
    for handler in logging.getLogger().handlers:
        handler.close()
    for path in paths:
        assert ["exception" in line for line in parse_lines(path.read_text())] == [False, False, True, False, False]


@pytest.mark.parametrize("form", ["logfmt", "pretty"])
def test_the_other_formats(log_output: LogOutput, write_file: Files, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """The same, whatever the console's own format is; ``pretty`` is never coloured."""
    monkeypatch.setenv("LOG_FORMAT", form)
    monkeypatch.setenv("FORCE_COLOR", "1" if form == "logfmt" else "")
    config.reset()
    path = write_file(format=form)
    log_all_sorts()
    assert path.read_text() == log_output.text
    assert "\x1b" not in path.read_text()
    assert "request.id=r1" in path.read_text()


def test_pretty_is_never_coloured(write_file: Files, monkeypatch: pytest.MonkeyPatch, log_output: LogOutput) -> None:
    """Though the console is, by FORCE_COLOR."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("LOG_FORMAT", "pretty")
    config.reset()
    path = write_file(format="pretty")
    log.info("picked", hero="Invoker")
    assert "\x1b" in log_output.text
    assert "\x1b" not in path.read_text()
    assert "picked" in path.read_text()


def test_json_is_its_default() -> None:
    """And it works where telemetry is not set up, or off."""
    record = logging.makeLogRecord({"msg": "to %s", "args": ("db",), "name": "lib", "levelno": 20, "levelname": "INFO"})
    line = parse_line(LineFormatter().format(record))
    assert (line["event"], line["level"], line["logger"]) == ("to db", "info", "lib")


def test_a_format_that_there_is_not() -> None:
    """It is told as logging is configured."""
    with pytest.raises(ValueError, match="'xml'; accepted: json, logfmt, pretty"):
        LineFormatter("xml")


@pytest.mark.parametrize("given", [{}, {"format": "json"}, {"format": "json", "datefmt": "%H", "style": "%"}])
@pytest.mark.parametrize("by", ["()", "class"])
def test_logging_may_name_it_as_a_class_too(by: str, given: dict[str, str]) -> None:
    """As it does its own formatters, and hands on what those take."""
    if by == "()" and len(given) > 1:
        return
    configurator = logging.config.DictConfigurator({"version": 1})
    formatter = configurator.configure_formatter({by: "dtx_telemetry.LineFormatter", **given})
    assert isinstance(formatter, LineFormatter)
    assert parse_line(formatter.format(logging.makeLogRecord({"msg": "x"})))["event"] == "x"


def test_what_cannot_be_printed_costs_no_line() -> None:
    """Telemetry never breaks the application's handler."""

    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    record = logging.makeLogRecord({"msg": "x", "odd": Odd(), "levelno": 20, "levelname": "INFO"})
    assert parse_line(LineFormatter().format(record))["event"] == "x"


def test_new_settings_hold_for_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they do for the console."""
    formatter, record = LineFormatter(), logging.makeLogRecord({"msg": "x", "iban": "DE00", "levelno": 20})
    assert parse_line(formatter.format(record))["iban"] == "DE00"
    monkeypatch.setattr("django.conf.settings.DTX_TELEMETRY", {"REDACT_KEYS": ["iban"]}, raising=False)
    config.reset()
    assert parse_line(formatter.format(record))["iban"] == "[redacted]"


#: What the platforms ask for, as the README has it.
RECIPES = {
    "Google Cloud": "level=severity,event=message,timestamp=time",
    "Datadog": "level=status,event=message,logger=logger.name,exception=error.stack,error=error.message",
    "Elastic": "timestamp=@timestamp,level=log.level,logger=log.logger,event=message,"
    "exception=error.stack_trace,error=error.message",
}


@pytest.fixture
def rename(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Set telemetry up with LOG_FIELD_NAMES."""

    def set_up(names: str) -> None:
        monkeypatch.setenv("LOG_FIELD_NAMES", names)
        config.reset()
        startup.init_telemetry()

    return set_up


@pytest.mark.parametrize("names", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("queued", [False, True])
def test_names_of_platforms(
    log_output: LogOutput, monkeypatch: pytest.MonkeyPatch, rename: Callable[[str], None], names: str, queued: bool
) -> None:
    """Lines have their names, ours and third parties', failures included; nothing is lost and nothing comes twice."""
    monkeypatch.setenv("LOG_QUEUE", str(queued))
    rename(names)
    new = dict(pair.split("=") for pair in names.split(","))
    with bind_fields(**{"request.id": "r1"}):
        log.info("picked", hero="Invoker")
        try:
            raise ValueError("no mana")
        except ValueError:
            logging.getLogger("lib").exception("failed")
    dtx_telemetry.logging.configure(config.get_settings())  # type: ignore[attr-defined] - which writes what is queued
    picked, failed = log_output.lines
    assert datetime.fromisoformat(picked.pop(new.get("timestamp", "timestamp"))).tzinfo is not None
    assert picked == {
        new.get("level", "level"): "info",
        new.get("logger", "logger"): "mysite",
        new.get("event", "event"): "picked",
        "hero": "Invoker",
        "request.id": "r1",
    }
    assert failed[new.get("exception", "exception")].endswith("ValueError: no mana")
    assert failed[new.get("error", "error")] == "ValueError: no mana"


def test_an_empty_name_leaves_a_field_out(log_output: LogOutput, rename: Callable[[str], None]) -> None:
    """What a record factory of another library puts on every record, for instance."""
    rename("pageno=,timestamp=")
    logging.getLogger("lib").warning("x", extra={"pageno": None, "shard": 1})
    assert log_output.lines == [{"level": "warning", "logger": "lib", "event": "x", "shard": 1}]


def test_a_field_of_the_new_name_is_kept(log_output: LogOutput, rename: Callable[[str], None]) -> None:
    """With ``_`` appended, as one that is named like ours."""
    rename("event=message,level=severity")
    log.info("picked", message="mine", severity=1, event_="x")
    line = log_output.lines[0]
    assert (line["message"], line["message_"], line["severity"], line["severity_"]) == ("picked", "mine", "info", 1)


def test_renamed_values_are_as_safe_as_ever(log_output: LogOutput, rename: Callable[[str], None]) -> None:
    """A long traceback is cut in its middle, under whatever name; no secret is printed under a harmless one."""
    rename("exception=stack_trace,password=pass")
    try:
        raise ValueError("y" * 40_000)
    except ValueError:
        log.exception("failed", password="hunter2")
    line = log_output.lines[0]
    assert line["stack_trace"].startswith("Traceback")
    assert line["stack_trace"].endswith("yyy")
    assert line["pass"] == "[redacted]"


def test_the_head_of_pretty_keeps_its_place(
    log_output: LogOutput, monkeypatch: pytest.MonkeyPatch, rename: Callable[[str], None]
) -> None:
    """It has no names; fields have theirs."""
    monkeypatch.setenv("LOG_FORMAT", "pretty")
    rename("event=message,level=,hero=who")
    log.info("picked", hero="Invoker")
    assert "[info ] picked [mysite] who=Invoker" in log_output.text


def test_a_file_has_the_new_names_too(log_output: LogOutput, write_file: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the console's lines."""
    monkeypatch.setenv("LOG_FIELD_NAMES", "event=message")
    config.reset()
    path = write_file()
    log.info("picked")
    assert json.loads(path.read_text())["message"] == "picked"
    assert parse_lines(path.read_text()) == log_output.lines


class EmailHandlerWithId(AdminEmailHandler):
    """Django's mails about errors, with the request's id in the subject, as the README has it."""

    def emit(self, record: logging.LogRecord) -> None:
        told = logging.makeLogRecord(vars(record))
        told.msg, told.args = f"[{vars(record).get('request.id', '-')}] {record.getMessage()}", ()
        super().emit(told)


@pytest.mark.parametrize("name", ["boom", "unavailable"])
@pytest.mark.usefixtures("log_output")
@URLS
@pytest.mark.filterwarnings("ignore:.*MAILERS")
def test_the_subject_of_an_admins_mail_has_the_id(settings: Any, name: str) -> None:
    """Of a view that raises, and of a 5xx that is returned: Django logs that one when the middleware is left."""
    settings.ADMINS = ["admin@example.org"] if django.VERSION >= (6,) else [("admin", "admin@example.org")]
    handler = EmailHandlerWithId()
    handler.setLevel(logging.ERROR)
    handler.addFilter(dtx_telemetry.ContextFilter())
    logging.getLogger("django").addHandler(handler)
    try:
        answer = serve(f"/http/{name}/")
    finally:
        logging.getLogger("django").removeHandler(handler)
    subjects = [message.subject for message in mail.outbox if "[" in message.subject.removeprefix("[Django] ")]
    assert len(subjects) == 1  # beside Django's own
    assert f"[{answer.request_id}]" in subjects[0]
    assert f"/http/{name}/" in subjects[0]
