"""Fixtures for all tests: global state as it was found, what was logged, brokers and processes of a test's own."""

import asyncio
import itertools
import logging
import os
import signal
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import pytest_django
import structlog

from dtx_telemetry import config, guard, startup
from dtx_telemetry.config import Settings
from dtx_telemetry.context import scope
from dtx_telemetry.logging import configure

from .support.brokers import Broker, filesystem_broker, memory_broker, private_rabbitmq, private_valkey, rabbitmq_answers
from .support.database import Database, copy_database, make_database
from .support.databases import DATABASES, SERVERS, opened, private_database
from .support.lines import Line, one_event, parse_lines, with_event
from .support.processes import Processes
from .support.state import logging_as_found
from .support.table import pytest_terminal_summary  # noqa: F401 - a hook
from .support.tracing import Traced, opentelemetry_on

# The same examples at every run, and no clock in what passes.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")

OURS = ("TELEMETRY_", "LOG_", "OTEL_", "DTX_TEST_")


class _LoggingOfWorkers:
    """Puts logging back after a fixture that stays for many tests: a worker sets it up as its own.

    It is a plugin since hooks of a conftest are not asked for fixtures of the session.
    """

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        if fixturedef.scope == "function":
            return (yield)
        with logging_as_found():
            return (yield)


def pytest_configure(config: pytest.Config) -> None:
    """Start without an event loop, and with children that can be interrupted.

    Asked for the current loop, asyncio would make one, which pytest-asyncio leaves open. A shell that runs this in the
    background has SIGINT ignored, which processes inherit; a handler that does nothing is as deaf, and is not inherited.
    """
    config.pluginmanager.register(_LoggingOfWorkers())
    asyncio.set_event_loop(None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write lone surrogates in what a test logged as escapes: pytest-xdist cannot send them from process to process."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(autouse=True)
def _global_state(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test an environment without our variables and nothing bound, and put logging back after it."""
    for name in os.environ:
        if name.startswith(OURS):
            monkeypatch.delenv(name)
    _forget()
    configure(Settings(enabled=False))
    with logging_as_found():
        yield
        configure(Settings(enabled=False))
    _forget()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Take away what a test leaves bound that is marked with ``leaves_bound``; any other fails by the plugin's option."""
    try:
        return (yield)
    finally:
        if item.get_closest_marker("leaves_bound") is not None:
            structlog.contextvars.clear_contextvars()


class _Failures:
    """Stands in for the guard's logger, and notes what went wrong inside this library."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self.seen: list[str] = []

    def error(self, event: str, *, exc_info: Exception, extra: dict[str, str]) -> None:
        self.seen.append("".join([f"at {extra['where']}:\n", *traceback.format_exception(exc_info)]))
        self._logger.error(event, exc_info=exc_info, extra=extra)


@pytest.fixture(autouse=True)
def _nothing_of_ours_fails(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test in whose process telemetry failed, unless it is marked with ``telemetry_fails``."""
    failures = _Failures(guard._logger)
    monkeypatch.setattr(guard, "_logger", failures)
    yield
    if failures.seen and request.node.get_closest_marker("telemetry_fails") is None:
        pytest.fail("telemetry_failed " + "\n".join(failures.seen), pytrace=False)


@pytest.fixture(autouse=True)
def _databases_stay_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep consumers in the test's process from closing its database connections, as Channels' own test client does."""
    monkeypatch.setattr("channels.db.close_old_connections", lambda: None)


@pytest.fixture(scope="session", autouse=True)
def _database_may_be_used(django_db_blocker: pytest_django.DjangoDbBlocker) -> Iterator[None]:
    """Django looks at open connections around each request: one that another test left open must not raise."""
    with django_db_blocker.unblock():
        yield


def _forget() -> None:
    structlog.contextvars.clear_contextvars()
    scope.current.set(None)
    config.reset()


class LogOutput:
    """What our pipeline wrote in this process since the fixture was asked for."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    @property
    def text(self) -> str:
        self._text += self._capsys.readouterr().out
        return self._text

    @property
    def lines(self) -> list[Line]:
        """Every line, parsed strictly: one that is not JSON fails the test."""
        return parse_lines(self.text)

    def events(self, event: str, **fields: object) -> list[Line]:
        return with_event(self.lines, event, **fields)

    def one(self, event: str, **fields: object) -> Line:
        """Return the only line of that event."""
        return one_event(self.lines, event, **fields)

    def clear(self) -> None:
        self._capsys.readouterr()
        self._text = ""


@pytest.fixture
def log_output(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> LogOutput:
    """Log as JSON, from DEBUG on, to where the test can read it."""
    for name, value in {"LOG_FORMAT": "json", "LOG_LEVEL": "DEBUG", "LOG_STREAM": "stdout"}.items():
        monkeypatch.setenv(name, value)
    config.reset()
    startup.init_telemetry()
    return LogOutput(capsys)


@pytest.fixture
def telemetry(settings: Any) -> Callable[..., None]:
    """Set telemetry up with these keys of ``DTX_TELEMETRY``."""

    def set_up(**keys: Any) -> None:
        settings.DTX_TELEMETRY = keys
        startup.init_telemetry()

    return set_up


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Traced]:
    """OpenTelemetry on in this process: everything sampled, all of it sent to a collector of the test's own."""
    with opentelemetry_on(monkeypatch) as traced:
        yield traced


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Valkey server of this session's own."""
    with private_valkey(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@pytest.fixture(scope="session")
def _valkey_databases() -> Iterator[int]:
    return itertools.count()


@pytest.fixture
def valkey_url(valkey_server: str, _valkey_databases: Iterator[int]) -> str:
    """An empty database of that server."""
    return f"{valkey_server}/{next(_valkey_databases)}"


@pytest.fixture
def valkey(valkey_url: str) -> Broker:
    """An empty Valkey database as broker, with its results there too."""
    return Broker(valkey_url, results=valkey_url)


@pytest.fixture
def memory() -> Broker:
    return memory_broker()


@pytest.fixture
def filesystem(tmp_path: Path) -> Broker:
    return filesystem_broker(tmp_path / "broker")


@pytest.fixture
def rabbitmq() -> Iterator[Broker]:
    """RabbitMQ with a queue of the test's own; skips where none answers, fails if ``DTX_REQUIRE_RABBITMQ`` is 1."""
    if not rabbitmq_answers():
        pytest.skip("no RabbitMQ answers on 127.0.0.1:5672")
    with private_rabbitmq() as broker:
        yield broker


@pytest.fixture
def rabbitmq_url(rabbitmq: Broker) -> str:
    """Its address alone; publish to a queue whose name is your own."""
    return rabbitmq.url


@pytest.fixture(scope="session")
def _made_database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    return make_database(tmp_path_factory.mktemp("database") / "made.sqlite3")


@pytest.fixture
def database(_made_database: Database, tmp_path: Path) -> Database:
    """A database file with tables and one user, for processes; in-process tests use pytest-django's ``db``."""
    return copy_database(_made_database, tmp_path / "project.sqlite3")


@pytest.fixture(scope="session")
def _entries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], dict[str, Any]]]:
    made: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:

        def entry(kind: str) -> dict[str, Any]:
            if kind not in made:
                made[kind] = stack.enter_context(private_database(kind, tmp_path_factory.mktemp("databases")))
            return made[kind]

        yield entry


@pytest.fixture(params=DATABASES)
def database_entry(request: pytest.FixtureRequest, _entries: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """An entry of ``DATABASES``: SQLite, PostgreSQL and MariaDB, each for all tests of the session; see `support.databases`."""
    return _entries(request.param)


@pytest.fixture
def database_alias(database_entry: dict[str, Any]) -> Iterator[str]:
    """The same, open in this process; the alias for ``connections`` and ``using``."""
    with opened(database_entry) as alias:
        yield alias


@pytest.fixture(params=SERVERS)
def server_alias(request: pytest.FixtureRequest, _entries: Callable[[str], dict[str, Any]]) -> Iterator[str]:
    """The same for the two that are servers."""
    with opened(_entries(request.param)) as alias:
        yield alias


@pytest.fixture
def processes(request: pytest.FixtureRequest) -> Iterator[Processes]:
    """Start real processes of the project; whatever happens, none is left."""
    started = Processes(LOG_FORMAT="json")
    try:
        yield started
    finally:
        started.kill()
    if request.node.get_closest_marker("telemetry_fails") is None:
        assert not [line for process in started for line in process.lines if line.get("event") == "telemetry_failed"]
