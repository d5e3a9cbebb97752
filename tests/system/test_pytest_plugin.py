"""The pytest plugin, as an application's own tests use it."""

import textwrap
from collections.abc import Callable

import pytest

from tests.support.processes import ROOT

Run = Callable[..., pytest.RunResult]

pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run an application's tests, with this plugin and no other."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)

    def run_tests(code: str, *, ini: str = "") -> pytest.RunResult:
        pytester.makeini(f"[pytest]\n{ini}")
        pytester.makepyfile(textwrap.dedent(code))
        return pytester.runpytest_subprocess("-p", "dtx_telemetry.pytest_plugin", "-p", "no:cacheprovider")

    return run_tests


HEAD = """
    import asyncio, logging, threading
    import pytest, structlog
    from structlog.contextvars import bind_contextvars
    import dtx_telemetry
    from dtx_telemetry import bind_fields, get_logger, operation

    cached = structlog.get_logger("cached")
    ours = get_logger("ours")
    dtx_telemetry.init_telemetry()
"""


def test_what_is_logged_is_there_as_the_json_line_has_it(run: Run) -> None:
    """Whoever logs it; with what is bound, without secrets."""
    code = """
    def test_it(telemetry_events):
        with operation("turn", "r1"):
            ours.info("picked", hero="Invoker", spells=("quas", "wex"), password="x", where={1: 2})
            logging.getLogger("theirs").warning("said %s", "so", extra={"draft": 5})
            cached.info("kept")
        picked, said, kept, completed = telemetry_events
        assert picked["timestamp"].endswith("Z")
        assert {key: value for key, value in picked.items() if key not in {"timestamp", "scope.id"}} == {
            "level": "info", "logger": "ours", "event": "picked", "hero": "Invoker", "spells": ["quas", "wex"],
            "password": "[redacted]", "where": {"1": 2}, "request.id": "r1", "operation.name": "turn",
        } | {"password": picked["password"]}
        assert picked["password"] != "x"
        assert (said["event"], said["level"], said["logger"], said["draft"]) == ("said so", "warning", "theirs", 5)
        assert kept["request.id"] == completed["request.id"] == "r1"

    def test_the_next_one(telemetry_events):
        assert telemetry_events == []
    """
    run(HEAD + code).assert_outcomes(passed=2)


def test_a_logger_that_does_not_propagate_is_heard(run: Run) -> None:
    """Each event once, whatever handlers it has."""
    code = """
    def test_it(telemetry_events):
        shop = logging.getLogger("shop")
        shop.info("told")
        get_logger("shop.cart").info("told by ours")
        assert [event["event"] for event in telemetry_events] == ["told", "told by ours"]

    logging.getLogger("shop").propagate = False
    logging.getLogger("shop").addHandler(logging.StreamHandler())
    logging.getLogger("shop").setLevel("INFO")
    """
    run(HEAD + code).assert_outcomes(passed=1)


def test_it_comes_from_threads_and_from_asynchronous_code_too(run: Run) -> None:
    """Each event with what was bound where it was logged."""
    code = """
    def test_it(telemetry_events):
        def work(number):
            with operation("job", f"thread-{number}"):
                ours.info("working", number=number)

        async def turn(number):
            with operation("turn", f"task-{number}"):
                await asyncio.sleep(0)
                ours.info("thinking", number=number)

        async def turns():
            await asyncio.gather(*map(turn, range(5)))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        asyncio.run(turns())
        for number in range(5):
            assert telemetry_events.one("working", number=number)["request.id"] == f"thread-{number}"
            assert telemetry_events.one("thinking", number=number)["request.id"] == f"task-{number}"
    """
    run(HEAD + code).assert_outcomes(passed=1)


def test_it_comes_from_eager_tasks_too(run: Run) -> None:
    """The library's own events among it; a field's point is written as an underscore."""
    code = """
    from celery import Celery
    import dtx_telemetry.celery

    app = Celery("dota", broker="memory://")
    app.conf.task_always_eager = True

    @app.task(name="announce")
    def announce(draft):
        ours.info("announcing", draft=draft)

    def test_it(telemetry_events):
        with operation("turn", "r1"):
            result = announce.delay(5)
        assert telemetry_events.one("announcing", draft=5)["task.id"] == result.id
        started = telemetry_events.one("task_started", task_id=result.id, task_name="announce")
        assert started == telemetry_events.one("task_started", **{"task.id": result.id})
        assert telemetry_events.one("task_completed", request_id="r1")
    """
    run(textwrap.dedent(HEAD) + textwrap.dedent(code)).assert_outcomes(passed=1)


def test_it_goes_on_where_django_configures_logging_again(run: Run) -> None:
    """A test that is the first to import the project's ASGI or WSGI module: LOGGING is applied once more, handlers and all."""
    code = """
    import logging
    import django, pytest
    from django.conf import settings

    settings.configure(
        INSTALLED_APPS=["dtx_telemetry"], MIDDLEWARE=["dtx_telemetry.middleware.TelemetryMiddleware"], ROOT_URLCONF=__name__,
        LOGGING={
            "version": 1, "disable_existing_loggers": False,
            "handlers": {"console": {"class": "logging.StreamHandler"}}, "root": {"handlers": ["console"]},
        },
    )
    django.setup()
    urlpatterns = []

    @pytest.mark.parametrize("time", ["first", "second"])
    def test_it(telemetry_events, time):
        from django.core.asgi import get_asgi_application
        from django.core.wsgi import get_wsgi_application

        logging.getLogger("theirs").warning("before")
        get_asgi_application()
        logging.getLogger("theirs").warning("between")
        get_wsgi_application()
        logging.getLogger("theirs").warning("after")
        assert [event["event"] for event in telemetry_events] == ["before", "between", "after"]

    def test_no_handler_is_left():
        from dtx_telemetry import pytest_plugin

        assert not [handler for handler in logging.getLogger().handlers if type(handler).__module__ == pytest_plugin.__name__]
    """
    run(code).assert_outcomes(passed=3)


def test_an_exception_is_kept_as_it_is(run: Run) -> None:
    """The very object, with its text beside it; and the printed line still has the traceback."""
    code = """
    def test_it(telemetry_events, capfd):
        dtx_telemetry.init_telemetry()
        with pytest.raises(RuntimeError) as raised, operation("turn"):
            raise RuntimeError("no mana")
        failed = telemetry_events.one("operation_failed", exc_info=raised.value)
        assert failed["error"] == "RuntimeError: no mana"
        assert "exception" not in failed
        assert "Traceback" in capfd.readouterr().out
        logging.getLogger("theirs").error("odd", exc_info=KeyError("x"))
        assert isinstance(telemetry_events.one("odd")["exc_info"], KeyError)
    """
    run(HEAD + code).assert_outcomes(passed=1)


def test_one_fails_with_what_there_was(run: Run) -> None:
    """None, or more than one; `all` returns what there is, and `clear` forgets it."""
    code = """
    def test_none(telemetry_events):
        ours.info("picked", hero="Invoker")
        telemetry_events.one("picked", hero="Lina")

    def test_two(telemetry_events):
        ours.info("picked", hero="Invoker")
        ours.info("picked", hero="Lina")
        assert [event["hero"] for event in telemetry_events.all("picked")] == ["Invoker", "Lina"]
        assert telemetry_events.all("picked", hero="Lina") == telemetry_events.all(hero="Lina") == [telemetry_events[1]]
        assert telemetry_events.all("other") == []
        telemetry_events.one("picked")

    def test_nothing(telemetry_events):
        ours.info("picked")
        telemetry_events.clear()
        telemetry_events.one()
    """
    result = run(HEAD + code)
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "*AssertionError: 0 times picked hero='Lina', not once. There was:",
            "*'event': 'picked', 'hero': 'Invoker'*",
            "*AssertionError: 2 times picked, not once. There was:",
            "*AssertionError: 0 times event, not once. There was:",
            "*nothing",
        ]
    )


LEAKS = """
    def test_leaks():
        bind_contextvars(tenant="t", hero="Invoker")

    def test_is_not_hurt_by_it():
        assert dtx_telemetry.context.bound() == {}

    def test_leaves_a_scope_open():
        operation("turn").__enter__()

    def test_changes_what_is_bound(bound):
        bind_contextvars(service="other")

    def test_leaves_nothing(bound):
        with bind_fields(tenant="t"):
            bind_contextvars(hero="Invoker")

    def test_fails_by_itself():
        bind_contextvars(tenant="t")
        assert False, "by itself"

    @pytest.fixture
    def bound():
        with bind_fields(service="dota"):
            yield
            assert dtx_telemetry.context.bound() == {"service": "dota"}

    def test_last():
        assert dtx_telemetry.context.bound() == {}
"""


def test_a_test_that_leaves_something_bound_fails_where_one_asks_for_it(run: Run) -> None:
    """What fixtures bind is theirs; the next test is not hurt."""
    result = run(HEAD + LEAKS, ini="telemetry_check_leaks = true")
    result.assert_outcomes(passed=3, failed=4)
    told = [line for line in result.outlines if line.startswith("the test leaves bound")]
    assert told == [
        f"the test leaves bound: {names}" for names in ("tenant, hero", "request.id, operation.name, scope.id", "service")
    ]
    result.stdout.fnmatch_lines("E*AssertionError: by itself")


def test_a_test_may_leave_something_bound_where_nobody_asks(run: Run) -> None:
    """The option is off unless it is set."""
    code = """
    def test_leaks():
        bind_contextvars(tenant="t")
    """
    run(HEAD + code).assert_outcomes(passed=1)


def test_it_loads_nothing_until_it_is_asked(run: Run) -> None:
    """A test suite without telemetry is not slowed by it."""
    code = """
    import sys

    def test_it():
        loaded = {name.split(".")[0] for name in sys.modules}
        assert loaded.isdisjoint({"structlog", "orjson", "django", "celery", "channels"})
        assert [name for name in sys.modules if name.startswith("dtx_telemetry.")] == ["dtx_telemetry.pytest_plugin"]
    """
    run(code).assert_outcomes(passed=1)


def test_it_shows_what_a_test_logs_where_nothing_is_set_up(run: Run) -> None:
    """Then events are plain text, as other handlers get them."""
    code = """
    from dtx_telemetry import get_logger

    def test_it(telemetry_events):
        get_logger("ours").warning("picked", hero="Invoker")
        assert telemetry_events[0]["event"] == "picked hero=Invoker"
    """
    run(code).assert_outcomes(passed=1)
