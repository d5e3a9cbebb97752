"""Management commands: a scope each, their events, and where their lines go."""

import sys
from typing import Any

import pytest
from django.core.management import BaseCommand, CommandError, call_command
from structlog.contextvars import get_contextvars

from dtx_telemetry import commands, get_logger
from dtx_telemetry.context import enter_root
from dtx_telemetry.events import OPERATION
from tests.conftest import LogOutput
from tests.support.scopes import without_ids

log = get_logger(__name__)


class Speak(BaseCommand):
    """Logs, and does what it is told."""

    requires_system_checks = ()
    bound: dict[str, Any]
    error: BaseException | None = None
    inner: BaseCommand | None = None

    def handle(self, *args: Any, **options: Any) -> None:
        log.info("speaking")
        self.bound = get_contextvars()
        if self.inner is not None:
            call_command(self.inner)
        if self.error is not None:
            raise self.error


class Quiet(Speak):
    telemetry = False


class Djangos(Speak):
    __module__ = "django.core.management.commands.speak"


class Unwritten(Speak):
    @property
    def telemetry(self) -> bool:  # type: ignore[override]
        raise RuntimeError("odd")


def called(command: Speak) -> dict[str, Any]:
    """Run *command* and return what was bound in it."""
    call_command(command)
    return command.bound


def events(log_output: LogOutput) -> list[str]:
    return [line["event"] for line in log_output.lines]


def test_a_command_has_a_scope_with_an_id(log_output: LogOutput) -> None:
    """Its lines bear its id and its name, and it starts and completes."""
    bound = called(Speak())
    assert events(log_output) == ["command_started", "speaking", "command_completed"]
    assert without_ids(bound) == {"request.id": log_output.lines[0]["request.id"], "command.name": "test_commands"}
    for line in log_output.lines:
        assert (line["request.id"], line["command.name"]) == (bound["request.id"], "test_commands")
    assert log_output.one("command_completed")["duration_ms"] >= 0
    assert get_contextvars() == {}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (CommandError("no such hero"), "CommandError: no such hero"),
        (RuntimeError("odd"), "RuntimeError: odd"),
        (SystemExit(3), "SystemExit: 3"),
        (SystemExit([3]), "SystemExit: [3]"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
    ],
)
def test_a_command_that_raises_fails(log_output: LogOutput, error: BaseException, text: str) -> None:
    """One event with the error; the exception goes on."""
    command = Speak()
    command.error = error
    with pytest.raises(type(error)):
        call_command(command)
    line = log_output.one("command_failed")
    assert (line["level"], line["error"].removesuffix(": ")) == ("error", text)
    assert "command_completed" not in events(log_output)
    assert get_contextvars() == {}


@pytest.mark.parametrize("code", [None, 0])
def test_an_exit_without_error_is_a_completion(log_output: LogOutput, code: int | None) -> None:
    """``sys.exit(0)`` is no failure."""
    command = Speak()
    command.error = SystemExit(code)
    with pytest.raises(SystemExit):
        call_command(command)
    assert events(log_output)[-1] == "command_completed"


def test_levels_are_those_of_who_wrote_the_command(log_output: LogOutput) -> None:
    """The end of an application's command is worth a line, that of one of Django's is for debugging; a failure is an error."""
    outer = Speak()
    outer.inner = Djangos()
    call_command(outer)
    with pytest.raises(CommandError):
        call_command("loaddata", "no_such_fixture")
    levels = [
        (line["command.name"], line["event"], line["level"]) for line in log_output.lines if line["logger"].startswith("dtx")
    ]
    assert levels == [
        ("test_commands", "command_started", "debug"),
        ("speak", "command_started", "debug"),
        ("speak", "command_completed", "debug"),
        ("test_commands", "command_completed", "info"),
        ("loaddata", "command_started", "debug"),
        ("loaddata", "command_failed", "error"),
    ]


def test_a_command_inside_another_keeps_its_id(log_output: LogOutput) -> None:
    """Each has its events; after the inner one the outer's fields are as they were."""
    outer = Speak()
    outer.inner = Speak()
    call_command(outer)
    assert events(log_output).count("command_completed") == 2
    assert len({line["request.id"] for line in log_output.lines}) == 1


def test_a_command_inside_a_request_keeps_the_requests_id(log_output: LogOutput) -> None:
    """``call_command`` in a view is part of the request."""
    scope = enter_root(OPERATION, {"request.id": "of-the-request"})
    try:
        call_command(Speak())
        assert without_ids(get_contextvars()) == {"request.id": "of-the-request"}
    finally:
        scope.leave()
    assert {line["request.id"] for line in log_output.lines} == {"of-the-request"}


def test_a_command_may_declare_that_it_has_none(log_output: LogOutput) -> None:
    """``telemetry = False`` on the class: a server or a shell of the application's own."""
    assert called(Quiet()) == {}
    assert events(log_output) == ["speaking"]


def test_switched_off_a_command_has_none(log_output: LogOutput, settings: Any) -> None:
    """With telemetry off nothing is bound."""
    settings.DTX_TELEMETRY = {"ENABLED": False}
    assert called(Speak()) == {}


@pytest.mark.telemetry_fails
def test_a_command_that_is_odd_runs(log_output: LogOutput) -> None:
    """What goes wrong with telemetry does not keep a command from running."""
    assert called(Unwritten()) == {}
    assert "telemetry_failed" in events(log_output)


def test_installing_twice_wraps_once(log_output: LogOutput) -> None:
    """However often ``ready()`` runs."""
    commands.install()
    commands.install()
    call_command(Speak())
    assert events(log_output).count("command_started") == 1


@pytest.mark.parametrize(
    ("argv", "stream"),
    [
        (["manage.py", "migrate"], "stderr"),
        (["/srv/app/manage.py", "dumpdata", "auth"], "stderr"),
        (["/usr/bin/django-admin", "check"], "stderr"),
        (["/usr/lib/python3/django/__main__.py", "check"], "stderr"),
        (["manage.py", "runserver"], "stdout"),
        (["manage.py", "shell", "-c", "print(1)"], "stderr"),
        (["manage.py"], "stdout"),
        (["/usr/bin/gunicorn", "app.wsgi"], "stdout"),
        (["/usr/bin/celery", "worker"], "stdout"),
        ([""], "stdout"),
        ([], "stdout"),
    ],
)
def test_the_stream_follows_the_program(monkeypatch: pytest.MonkeyPatch, argv: list[str], stream: str) -> None:
    """A management command's stdout is its data, a server's is its log."""
    monkeypatch.setattr(sys, "argv", argv)
    assert commands.default_stream() == stream
