"""Management commands as processes: where their lines go, and what their output stays."""

import json
from typing import Any

import pytest

from tests.support.database import Database
from tests.support.lines import parse_line
from tests.support.processes import Processes

DEBUG = {"LOG_LEVEL": "DEBUG"}


class TestProcesses:
    """Commands as they are really run."""

    def test_what_a_command_prints_stays_valid_data(self, processes: Processes, database: Database) -> None:
        """``dumpdata`` writes JSON to stdout and its lines to stderr."""
        process = processes.manage("dumpdata", "auth.user", "--indent", "1", env={**database.environ, **DEBUG})
        assert process.wait() == 0
        assert [entry["fields"]["username"] for entry in json.loads("\n".join(written(process)))] == ["invoker"]
        lines = [json.loads(line) for line in process.errors]
        assert [(line["event"], line["level"]) for line in lines] == [
            ("command_started", "debug"),
            ("command_completed", "debug"),
        ]
        assert {line["command.name"] for line in lines} == {"dumpdata"}
        assert len({line["request.id"] for line in lines}) == 1

    def test_a_command_called_by_another_program_writes_to_stderr_too(self, processes: Processes, database: Database) -> None:
        """``execute_from_command_line`` under another name is known once the command runs."""
        code = "from django.core.management import execute_from_command_line as run; run(['own', 'check'])"
        process = processes.python("-c", code, env={**database.environ, **DEBUG})
        assert process.wait() == 0
        assert not process.lines
        assert [json.loads(line)["event"] for line in process.errors] == ["command_started", "command_completed"]

    def test_log_stream_wins(self, processes: Processes, database: Database) -> None:
        """Whoever sets LOG_STREAM gets it."""
        process = processes.manage("check", env={**database.environ, **DEBUG, "LOG_STREAM": "stdout"})
        assert process.wait() == 0
        assert [line["event"] for line in process.lines] == ["command_started", "command_completed"]
        assert not process.errors

    @pytest.mark.parametrize("command", [("check",), ("migrate", "--run-syncdb"), ("test", "tests.project"), ("diffsettings",)])
    def test_a_command_of_django_itself_logs_nothing(
        self, processes: Processes, database: Database, command: tuple[str, ...]
    ) -> None:
        """At the level that holds by default; nor do the commands that it calls."""
        process = processes.manage(*command, env=database.environ)
        assert process.wait() == 0, process.text
        assert not process.lines
        assert "dtx_telemetry" not in "\n".join(process.errors)

    def test_a_shell_has_no_scope(self, processes: Processes, database: Database) -> None:
        """Nor has what it publishes. What it prints may be a script's data, so its lines are on stderr."""
        code = "from structlog.contextvars import get_contextvars; print('bound:', get_contextvars()); "
        code += "import logging; logging.getLogger('of.shell').warning('said')"
        process = processes.manage("shell", "-c", code, env=database.environ)
        assert process.wait() == 0
        assert process.other[-1] == "bound: {}"
        assert not process.lines
        assert [line["event"] for line in map(parse_line, process.errors) if line] == ["said"]

    def test_a_command_that_fails_exits_as_before(self, processes: Processes, database: Database) -> None:
        """Its exit code and Django's own message are the same."""
        process = processes.manage("loaddata", "no_such_fixture", env=database.environ)
        assert process.wait() == 1
        assert process.errors[-1].startswith("CommandError")
        assert json.loads(process.errors[-2])["event"] == "command_failed"

    def test_a_task_that_a_command_publishes_has_its_id(
        self, processes: Processes, filesystem: Any, database: Database
    ) -> None:
        """The id goes along to the worker."""
        code = "from tests.project.tasks import echo; echo.delay()"
        script = f"from django.core.management import BaseCommand, call_command\nimport django; django.setup()\n{COMMAND}{code}"
        processes.environ |= {**filesystem.environ, **database.environ, **DEBUG}
        process = processes.python("-c", f"{script}\ncall_command(Publish())")
        assert process.wait() == 0, process.text
        published = process.wait_for_event("task_published")
        started = process.wait_for_event("command_started")
        assert published["request.id"] == started["request.id"]
        assert published["command.name"] == started["command.name"]


COMMAND = "class Publish(BaseCommand):\n    def handle(self, **options): "


def written(process: Any) -> list[str]:
    """Return what a process wrote to stdout, in order; a line that is JSON by itself counts too."""
    return [*process.other] if not process.lines else [*process.other, *map(json.dumps, process.lines)]
