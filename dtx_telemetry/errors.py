"""Exceptions: as text, those that are not ours to catch, and the one for a package that is not installed."""

import re
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["NotInstalledError", "error_text", "is_interruption", "needs_extra"]


class NotInstalledError(ImportError):
    """A package of one of the extras is not installed; the message has the command that installs it."""


@contextmanager
def needs_extra(extra: str, package: str, *, what: str) -> Generator[None]:
    """Say which extra to install where the block cannot import *package*.

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
        command = f"pip install {_requirements(extra) or package}"
        raise NotInstalledError(f"{what} needs the extra [{extra}]: {command}", name=package) from error


def _requirements(extra: str) -> str:
    """Return what *extra* stands for, quoted for a shell: the library itself need not be on an index."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        declared = requires("dtx_telemetry") or ()
    except PackageNotFoundError:
        return ""
    marker = re.compile(rf"\s*;\s*extra\s*==\s*[\"']{re.escape(extra)}[\"']\s*")
    return " ".join(f"'{marker.sub('', line)}'" for line in declared if marker.search(line))


def error_text(error: object) -> str:
    """Return ``TypeName: message``, or the type's name alone where there is no message. Never raises."""
    name = type(error).__name__
    try:
        message = str(error)
    except Exception:
        message = "<unprintable message>"
    return f"{name}: {message}" if message else name


def is_interruption(error: BaseException) -> bool:
    """Return True for an exception that a signal raised in the midst of our work and that is the application's to see.

    ``except Exception`` catches Celery's soft time limit, which may well come while a line waits for its reader.
    """
    return any(kind.__name__ == "SoftTimeLimitExceeded" for kind in type(error).__mro__)
