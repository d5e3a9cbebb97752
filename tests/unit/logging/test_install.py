"""Installing the pipeline: once or many times, beside what others installed, and leaving no trace when it goes."""

import io
import logging
import logging.config
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from dtx_telemetry.config import NOISY_LOGGERS, Settings
from dtx_telemetry.logging import configure, get_logger, restore
from dtx_telemetry.logging.console import ConsoleHandler
from tests.support.pipeline import only_ours, print_lines
from tests.support.waiting import wait_until

log = get_logger()


@pytest.fixture(autouse=True)
def _switched_off() -> Iterator[None]:
    yield
    configure(Settings(enabled=False))
    for logger in (logging.getLogger(), logging.getLogger("mysite")):
        for handler in logger.handlers:
            if type(handler) is logging.FileHandler:
                handler.close()


def ours() -> list[logging.Handler]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, ConsoleHandler)]


def test_own_handler_is_replaced(tmp_path: Path) -> None:
    """However often it is called, one handler of ours is there, and the last settings hold."""
    other = logging.NullHandler()
    logging.getLogger().addHandler(other)
    for form in ("logfmt", "pretty", "json"):
        printed = print_lines(tmp_path, log_format=form)
    printed.clear()
    log.info("x")
    assert len(ours()) == 1
    assert len(printed.lines) == 1
    assert other in logging.getLogger().handlers


@pytest.mark.parametrize("how", ["console", "stderr", "subclass", "last resort", "descriptor"])
def test_console_handlers_of_frameworks_go(tmp_path: Path, how: str) -> None:
    """Ours stands in the place of a console handler on the root logger or on a framework's, and prints each record once."""

    class Coloured(logging.StreamHandler):  # type: ignore[type-arg]
        pass

    handlers: dict[str, logging.Handler] = {
        "console": logging.StreamHandler(sys.stdout),
        "stderr": logging.StreamHandler(),
        "subclass": Coloured(sys.__stderr__),
        "last resort": logging._StderrHandler(),
        "descriptor": logging.StreamHandler(os.fdopen(1, "w", closefd=False)),
    }
    handler = handlers[how]
    names = ["django", "django.server", "uvicorn", "uvicorn.access", "gunicorn.error", "celery.task", "daphne.cli"]
    names += ["channels", None]  # type: ignore[list-item]
    for name in names:
        logging.getLogger(name).addHandler(handler)
    logging.getLogger("django.server").propagate = False
    logging.getLogger("uvicorn").propagate = False
    printed = print_lines(tmp_path, quiet_loggers=())
    for name in names:
        logger = logging.getLogger(name)
        assert handler not in logger.handlers
        assert [other.replaced for other in logger.handlers if isinstance(other, ConsoleHandler)].count(handler) == 1
        logger.error(f"of {name}")
    assert [line["event"] for line in printed.lines] == [f"of {name}" for name in names]


def test_other_handlers_stay(tmp_path: Path) -> None:
    """Files, streams in memory, other kinds of handlers and loggers without a console handler are left alone."""
    kept = [
        logging.FileHandler(tmp_path / "app.log"),
        logging.StreamHandler(io.StringIO()),
        logging.NullHandler(),
    ]
    for handler in kept:
        logging.getLogger().addHandler(handler)
        logging.getLogger("django.request").addHandler(handler)
    silent = logging.getLogger("django.security")
    silent.propagate = False
    print_lines(tmp_path)
    assert set(kept) <= set(logging.getLogger().handlers)
    assert logging.getLogger("django.request").handlers == kept
    assert not silent.propagate
    kept[0].close()


def logging_setting(folder: Path, **loggers: Any) -> dict[str, Any]:
    """A LOGGING as projects have it, with console and file handlers to choose from."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(levelname)s %(message)s"}},
        "handlers": {
            "console": {"class": "logging.StreamHandler", "formatter": "plain"},
            "file": {"class": "logging.FileHandler", "filename": str(folder / "app.log"), "delay": True},
        },
        "root": loggers.pop("root", {}),
        "loggers": loggers,
    }


def test_ours_stands_where_a_console_handler_stood(tmp_path: Path) -> None:
    """On whatever logger, at its place in the list, with its level and filters; what else the logger is stays as it was."""
    own = {"handlers": ["file", "console"], "level": "WARNING", "propagate": False}
    logging.config.dictConfig(logging_setting(tmp_path, mysite=own, **{"mysite.shop": {"handlers": ["console"]}}))
    mysite, shop = logging.getLogger("mysite"), logging.getLogger("mysite.shop")
    console = mysite.handlers[1]
    console.setLevel(logging.WARNING)
    console.addFilter(lambda record: "secret" not in record.msg)
    printed = print_lines(tmp_path)
    for logger in (mysite, shop):
        for text in ("quiet", "secret"):
            logger.info(text)
            logger.warning(f"{text} of {logger.name}")
    assert [(line["logger"], line["event"]) for line in printed.lines] == [
        ("mysite", "quiet of mysite"),
        ("mysite.shop", "quiet of mysite.shop"),
    ]
    assert [type(handler) for handler in mysite.handlers] == [logging.FileHandler, ConsoleHandler]
    assert mysite.handlers[1] is shop.handlers[0]
    assert (mysite.propagate, mysite.level) == (False, logging.WARNING)
    configure(Settings(enabled=False))
    assert [*mysite.handlers[1:], *shop.handlers] == [console, console]


LOGGINGS: dict[str, dict[str, Any]] = {
    "files alone": {"root": {"handlers": ["file"], "level": "INFO"}},
    "a console handler of a logger": {"mysite": {"handlers": ["console"], "propagate": False}},
    "a console handler of the root": {"root": {"handlers": ["console"], "level": "INFO"}},
}


@pytest.mark.parametrize("loggers", LOGGINGS.values(), ids=LOGGINGS)
@pytest.mark.parametrize("disable", [False, True])
def test_logging_configured_again(tmp_path: Path, loggers: dict[str, Any], disable: bool) -> None:
    """LOGGING applied a second time, as get_wsgi_application does, takes nothing away for good, and no line comes twice."""
    setting = {**logging_setting(tmp_path, **loggers), "disable_existing_loggers": disable}
    logging.config.dictConfig(setting)
    printed = print_lines(tmp_path, log_levels={"mysite": logging.INFO})
    logging.config.dictConfig(setting)
    restore()
    assert len(ours()) == 1
    for name in ("mysite", "dtx_telemetry", "other"):
        logging.getLogger(name).disabled &= name == "dtx_telemetry"
        logging.getLogger(name).info("x")
    assert [line["logger"] for line in printed.lines] == ["mysite", "dtx_telemetry", "other"]
    for logger in (logging.getLogger(), logging.getLogger("mysite")):
        assert not [other for other in logger.handlers if type(other) is logging.StreamHandler]


def test_a_second_restore_changes_nothing(tmp_path: Path) -> None:
    """Where nobody configured logging over us, levels that were set since stay: pytest's caplog, a debugging session."""
    print_lines(tmp_path)
    logging.getLogger().setLevel(logging.DEBUG)
    restore()
    assert logging.getLogger().level == logging.DEBUG


def test_switched_off_after_logging_was_configured_again(tmp_path: Path) -> None:
    """What LOGGING asks for stands as if we had never been there, each console handler once."""
    setting = logging_setting(tmp_path, mysite={"handlers": ["console"], "propagate": False})
    logging.config.dictConfig(setting)
    print_lines(tmp_path)
    logging.config.dictConfig(setting)
    restore()
    configure(Settings(enabled=False))
    mysite = logging.getLogger("mysite")
    assert [type(handler) for handler in mysite.handlers] == [logging.StreamHandler]
    assert not mysite.propagate


def test_levels(tmp_path: Path) -> None:
    """The root logger that nobody configured has LOG_LEVEL, quiet ones are at WARNING, and LOG_LEVELS wins over both."""
    printed = print_lines(tmp_path, log_level=logging.DEBUG, log_levels={"kombu": logging.DEBUG, "shop": logging.ERROR})
    only_ours()
    for name in ("any", "kombu", "shop", "shop.cart", "urllib3", "urllib3.pool"):
        logging.getLogger(name).debug("debug")
        logging.getLogger(name).warning("warning")
    assert [(line["logger"], line["event"]) for line in printed.lines] == [
        ("any", "debug"),
        ("any", "warning"),
        ("kombu", "debug"),
        ("kombu", "warning"),
        ("urllib3", "warning"),
        ("urllib3.pool", "warning"),
    ]
    assert {logging.getLogger(name).level for name in NOISY_LOGGERS if name != "kombu"} == {logging.WARNING}


def test_level_given(tmp_path: Path) -> None:
    """A level that is given to configure wins over the settings'."""
    configure(Settings(log_level=logging.INFO), level=logging.ERROR, path=str(tmp_path / "x"))
    assert {handler.level for handler in ours()} == {logging.ERROR}


@pytest.mark.parametrize("level", [logging.CRITICAL, logging.DEBUG])
def test_a_quiet_logger_with_a_level_of_its_own_keeps_it(tmp_path: Path, level: int) -> None:
    """A noisy logger that somebody set is neither made louder nor quieter: a file may want its debug lines."""
    logging.getLogger("httpx").setLevel(level)
    print_lines(tmp_path)
    assert logging.getLogger("httpx").level == level


def state() -> dict[str, Any]:
    names = ["kombu", "shop", "django", "django.server", "urllib3", "uvicorn.access"]
    loggers = [logging.getLogger(), *map(logging.getLogger, names)]
    return {logger.name: (logger.level, set(logger.handlers), logger.propagate) for logger in loggers}


def test_undone(tmp_path: Path) -> None:
    """Switched off, or with other settings, nothing is left of what was set before."""
    server = logging.getLogger("django.server")
    server.addHandler(logging.StreamHandler())
    server.propagate = False
    server.setLevel(logging.INFO)
    showing = logging._warnings_showwarning  # type: ignore[attr-defined]
    before = state()
    print_lines(tmp_path, log_level=logging.ERROR, log_levels={"shop": logging.DEBUG, "kombu": logging.DEBUG})
    print_lines(tmp_path, log_levels={"kombu": logging.ERROR}, quiet_loggers=("shop",))
    assert [logging.getLogger(name).level for name in ("shop", "kombu", "urllib3")] == [30, 0, 0]
    configure(Settings(enabled=False))
    assert state() == before
    assert logging._warnings_showwarning is showing  # type: ignore[attr-defined]


def test_level_that_somebody_set_since_stays(tmp_path: Path) -> None:
    """A level that the application set after us is not put back."""
    print_lines(tmp_path)
    logging.getLogger("kombu").setLevel(logging.DEBUG)
    configure(Settings(enabled=False))
    assert logging.getLogger("kombu").level == logging.DEBUG


def test_access_lines_of_runserver(tmp_path: Path) -> None:
    """The development server's access lines are left out, also those of errors; its other lines are not."""
    printed = print_lines(tmp_path)
    server = logging.getLogger("django.server")
    server.error('"GET /?token=x HTTP/1.1" 500', extra={"status_code": 500, "request": None})
    server.error("Broken pipe from 127.0.0.1")
    assert [line["event"] for line in printed.lines] == ["Broken pipe from 127.0.0.1"]
    printed = print_lines(tmp_path, framework_lines=True)
    server.error('"GET / HTTP/1.1" 500', extra={"status_code": 500, "request": None})
    assert printed.lines[-1]["status_code"] == 500


def test_djangos_default_logging(tmp_path: Path) -> None:
    """With Django's own LOGGING, each record of its loggers is printed once."""
    from django.utils.log import DEFAULT_LOGGING

    logging.config.dictConfig(DEFAULT_LOGGING)
    printed = print_lines(tmp_path, quiet_loggers=())
    logging.getLogger("django").error("one")
    logging.getLogger("django.server").info("two")
    assert [line["event"] for line in printed.lines] == ["one", "two"]


def test_disabled_by_dict_config(tmp_path: Path) -> None:
    """A LOGGING that disables existing loggers does not silence this library's own."""
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})
    assert logging.getLogger("dtx_telemetry").disabled
    printed = print_lines(tmp_path)
    logging.getLogger("dtx_telemetry").error("x")
    assert len(printed.lines) == 1


def test_after_dict_config_closed_all_handlers(tmp_path: Path) -> None:
    """logging.config closes every handler there is; ours works on all the same."""
    printed = print_lines(tmp_path)
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "incremental": False})
    log.info("x")
    assert len(printed.lines) == 1


def test_capture_logs(tmp_path: Path) -> None:
    """structlog's capture_logs gets the events of our loggers, and nothing is printed meanwhile."""
    printed = print_lines(tmp_path)
    bound = structlog.get_logger("bound").bind(a=1)
    bound.info("before")
    with structlog.testing.capture_logs() as entries:
        log.info("x", b=2)
        log.exception("y %s", 1)
        bound.warning("z")
        log.debug("too low")
    log.info("after")
    assert entries == [
        {"event": "x", "b": 2, "log_level": "info"},
        {"event": "y %s", "exc_info": True, "positional_args": (1,), "log_level": "error"},
        {"event": "z", "a": 1, "log_level": "warning"},
    ]
    assert [line["event"] for line in printed.lines] == ["before", "after"]


def test_processors_of_the_application(tmp_path: Path) -> None:
    """Processors that an application adds to structlog's configuration run, and may change or drop an event."""
    printed = print_lines(tmp_path)

    def change(logger: Any, name: str, event: dict[str, Any]) -> dict[str, Any]:
        if event["event"] == "drop":
            raise structlog.DropEvent
        return {**event, "added": name}

    processors = structlog.get_config()["processors"]
    processors.append(change)
    try:
        log.info("drop")
        log.info("x", a=1)
        processors.append(structlog.processors.KeyValueRenderer(key_order=["event"]))
        log.info("y")
        processors.append(lambda logger, name, event: f"rendered {sorted(event)}")
        log.info("z")
    finally:
        processors.clear()
    assert (printed.lines[0]["event"], printed.lines[0]["added"]) == ("x", "info")
    assert (printed.lines[1]["event"], printed.lines[1]["added"]) == ("y", "info")
    assert printed.lines[2]["event"] == "rendered ['added', 'event']"
    assert len(printed.lines) == 3


def test_stream_chosen(capfd: pytest.CaptureFixture[str]) -> None:
    """LOG_STREAM picks the stream; without it the caller of configure does, and else it is stdout."""
    for settings, stream in (("stderr", "stdout"), (None, "stderr"), ("stdout", "stderr"), (None, None)):
        configure(Settings(log_format="logfmt", log_stream=settings), stream=stream)
        log.info("x")
    out, err = capfd.readouterr()
    assert (out.count("event=x"), err.count("event=x")) == (2, 2)


def test_path_that_cannot_be_opened(tmp_path: Path) -> None:
    """A file that cannot be opened stops the set-up, and what was set up before still works."""
    printed = print_lines(tmp_path)
    with pytest.raises(OSError, match="missing"):
        configure(Settings(), path=str(tmp_path / "missing" / "file"))
    log.info("x")
    assert len(printed.lines) == 1


def test_structlog_as_it_was(tmp_path: Path) -> None:
    """Switched off, structlog is configured as the application had it."""
    renderer = structlog.processors.JSONRenderer()
    structlog.configure(processors=[renderer])
    print_lines(tmp_path)
    print_lines(tmp_path)
    configure(Settings(enabled=False))
    assert structlog.get_config()["processors"] == [renderer]


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_nothing_is_held_by_what_was_replaced(tmp_path: Path) -> None:
    """Setting up again and again leaves neither open files nor threads behind."""
    print_lines(tmp_path, log_queue=True)
    log.info("x")
    files, threads = open_files(), threading.active_count()
    for _ in range(5):
        print_lines(tmp_path, log_queue=True)
        log.info("x")
    printed = print_lines(tmp_path)
    log.info("x")
    wait_until(lambda: threading.active_count() < threads and open_files() <= files)
    assert len(printed.lines) == 7
