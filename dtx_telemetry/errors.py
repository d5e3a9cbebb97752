"""Exceptions: as text, those that are not ours to catch, those that are no failure, and one for a package that is not there."""

import asyncio
import re
from collections.abc import Generator
from contextlib import contextmanager

__all__ = [
    "NotInstalledError",
    "add_steering",
    "error_text",
    "install_command",
    "is_interruption",
    "is_steering",
    "needs_extra",
]

# By which work is ended that has not failed. Frameworks have more, which their edges add when they are imported.
_STEERING: set[type[BaseException]] = {asyncio.CancelledError, GeneratorExit}


class NotInstalledError(ImportError):
    """A package of one of the extras is not installed. The message has the command that installs it."""


@contextmanager
def needs_extra(extra: str, package: str, *, what: str) -> Generator[None]:
    """Say which extra to install if the block cannot import *package*.

    An installed package that fails to import is an error of another kind, and its own exception goes on.

    Args:
        extra: the extra of this library that has *package*.
        package: the name that is imported.
        what: what needs it.

    Raises:
        NotInstalledError: *package* is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise NotInstalledError(f"{what} needs the extra [{extra}]: {install_command(extra, package)}", name=package) from error


def install_command(extra: str, *packages: str) -> str:
    """Return the command that installs what *extra* stands for: the library itself need not be on an index.

    Args:
        extra: an extra of this library.
        packages: what is missing. They are named alone if the library is not installed, and so tells no extras.
    """
    from importlib.metadata import PackageNotFoundError, requires

    try:
        wanted = [f"'{line}'" for line in _requirements(extra, requires("dtx_telemetry") or [])]
    except PackageNotFoundError:
        wanted = []
    return " ".join(["pip install", *(wanted or packages)])


def _requirements(extra: str, declared: list[str]) -> list[str]:
    """Return the requirements of *extra*, those of the extras that it is made of included, each once."""
    marker = re.compile(rf"\s*;\s*extra\s*==\s*[\"']{re.escape(extra)}[\"']\s*")
    wanted: list[str] = []
    for line in (marker.sub("", line) for line in declared if marker.search(line)):
        ours = re.fullmatch(r"dtx[-_]telemetry\[([\w,]+)\]", line)
        wanted += [each for part in ours[1].split(",") for each in _requirements(part, declared)] if ours else [line]
    return list(dict.fromkeys(wanted))


def error_text(error: object) -> str:
    """Return ``TypeName: message``, or the type's name alone if there is no message. Never raises."""
    name = type(error).__name__
    try:
        message = str(error)
    except KeyboardInterrupt:
        raise
    except BaseException:  # a SystemExit in it does not end the process, as in Python's own tracebacks
        message = "<unprintable message>"
    return f"{name}: {message}" if message else name


def is_interruption(error: BaseException) -> bool:
    """Return True for an exception that a signal raised in the midst of our work and that is the application's to see.

    ``except Exception`` catches Celery's soft time limit, which may well come while a line waits for its reader.
    """
    return any(kind.__name__ == "SoftTimeLimitExceeded" for kind in type(error).__mro__)


def add_steering(*kinds: type[BaseException]) -> None:
    """Let exceptions of *kinds*, by which a framework steers, be no failure of the work that they pass through."""
    _STEERING.update(kinds)


def is_steering(error: BaseException) -> bool:
    """Return True for an exception that ends work which has not failed: a cancellation, a task's ``Retry``."""
    return isinstance(error, tuple(_STEERING))
