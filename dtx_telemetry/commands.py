"""Management commands: a scope with an id for each, and how it ended.

Django has no signal for a command, so ``BaseCommand.execute`` is wrapped, once. A command that is a server or a shell has none:
those below, and any whose class says ``telemetry = False``.
"""

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from . import context
from .config import get_settings
from .events import COMMAND, COMMAND_COMPLETED, COMMAND_FAILED, COMMAND_STARTED
from .guard import never_raises, wrap_method
from .logging import configure, get_logger

__all__ = ["default_stream", "install"]

_SERVERS = frozenset(
    {
        "celery",
        "daphne",
        "db_worker",
        "gunicorn",
        "runserver",
        "runserver_plus",
        "runworker",
        "testserver",
        "uvicorn",
    }
)
#: What runs in these is the user's, line by line, and their stdout may be a script's data (``shell -c``).
_SHELLS = frozenset({"dbshell", "shell", "shell_plus"})
_log = get_logger(COMMAND.logger)


def default_stream() -> str:
    """Return what lines go to if ``LOG_STREAM`` does not say: ``stderr`` in a command, whose stdout is its data."""
    program, *arguments = sys.argv or [""]
    is_django = Path(program).name in {"manage.py", "django-admin"} or Path(program).parts[-2:] == ("django", "__main__.py")
    return "stderr" if is_django and arguments and arguments[0] not in _SERVERS else "stdout"


def install() -> None:
    """Wrap ``BaseCommand.execute``. A second call does nothing."""
    wrap_method(BaseCommand, "execute", _executing)


def _executing(execute: Callable[..., Any]) -> Callable[..., Any]:
    def execute_in_scope(self: BaseCommand, *args: Any, **options: Any) -> Any:
        scope = _begin(self)
        if scope is None:
            return execute(self, *args, **options)
        try:
            _log_start()
            result = execute(self, *args, **options)
        except BaseException as error:
            _end(self, scope, error)
            raise
        else:
            _end(self, scope, None)
        finally:
            scope.leave()
        return result

    return execute_in_scope


@never_raises
def _begin(command: BaseCommand) -> context.Scope | None:
    """Enter the scope of *command*, with a new id or that of the scope that it is called in."""
    settings = get_settings()
    name = type(command).__module__.rpartition(".")[2]
    is_server = name in _SERVERS or not getattr(command, "telemetry", True)
    if settings.log_stream is None and getattr(command, "_called_from_command_line", False):
        _write_to("stdout" if is_server else "stderr")
    if not settings.enabled or is_server or name in _SHELLS:
        return None
    if context.current_scope() is None:
        fields = {"request.id": context.new_request_id(), "command.name": name}
        return context.enter_root(COMMAND, fields, own=settings.own_keys)
    return context.enter(COMMAND, {"request.id": context.get_request_id() or context.new_request_id(), "command.name": name})


def _write_to(stream: str) -> None:
    """Correct the stream if the program's name did not tell what it is."""
    if stream != default_stream():
        configure(get_settings(), stream=stream)


@never_raises
def _log_start() -> None:
    _log.emit(COMMAND_STARTED.level, COMMAND_STARTED.name, {})


def _end(command: BaseCommand, scope: context.Scope, error: BaseException | None) -> None:
    if error is not None and not (isinstance(error, SystemExit) and error.code in (None, 0)):
        scope.end(COMMAND_FAILED, error=error, with_traceback=False)
    else:
        scope.end(COMMAND_COMPLETED, level=logging.DEBUG if _is_djangos(command) else None)


def _is_djangos(command: BaseCommand) -> bool:
    """Return True if *command* is one of Django's own. People who run ``migrate`` see how it went."""
    return type(command).__module__.startswith("django.")
