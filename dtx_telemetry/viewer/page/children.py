"""Commands that run below the page, each at a terminal of its own if we have one."""

import asyncio
import fcntl
import os
import re
import signal
import subprocess
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import UsageError

__all__ = ["Child", "Keyboard", "name_of"]

_PIECE = 64 * 1024
#: Programs whose first word of their own says more than their name does.
_MANAGERS = frozenset({"manage", "django-admin"})
_CELERY = frozenset({"worker", "beat", "flower", "events"})
_INTERPRETERS = ("python", "pypy")


class Child:
    """A running command.

    Args:
        name: what it is called.
        process: the command itself, the first of a process group of its own.
        output: where its output is read.
        is_terminal: whether that is a terminal's other end.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, output: int, *, is_terminal: bool) -> None:
        self.name = name
        self._process = process
        self._output = output
        self.is_terminal = is_terminal

    @classmethod
    async def start(cls, words: Sequence[str], name: str, *, has_keyboard: bool) -> "Child":
        """Start a command with ``LOG_FORMAT=json``.

        Args:
            words: the command and its arguments.
            name: what it is called.
            has_keyboard: whether it reads our standard input.

        Raises:
            UsageError: it cannot be started.
        """
        is_terminal = sys.stdout.isatty()
        ours, theirs = os.openpty() if is_terminal else os.pipe()
        if is_terminal:
            _prepare(theirs)
        # Of a pipe, one command alone can be given what comes in.
        entry = theirs if is_terminal and _is_keyboard() else None if has_keyboard else subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=entry,
                stdout=theirs,
                stderr=theirs,
                env={**os.environ, "LOG_FORMAT": "json", "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C is for us to pass on, once
                preexec_fn=_take_terminal if is_terminal else None,
            )
        except OSError as error:
            os.close(ours)
            raise UsageError(f"{words[0]}: {error.strerror}") from error
        finally:
            os.close(theirs)
        os.set_blocking(ours, False)
        return cls(name, process, ours, is_terminal=is_terminal)

    def read(self) -> bytes | None:
        """Return what it has written by now, ``None`` if nothing comes any more."""
        try:
            return os.read(self._output, _PIECE) or None
        except BlockingIOError:
            return b""
        except OSError:  # of a terminal that nothing has open any more
            return None

    def type(self, keys: bytes) -> None:
        """Have it read *keys*, as if somebody had typed them."""
        with suppress(OSError):
            os.write(self._output, keys)

    def fit(self) -> None:
        """Make its terminal as large as ours."""
        with suppress(OSError, termios.error):
            termios.tcsetwinsize(self._output, termios.tcgetwinsize(sys.stdout.fileno()))

    def send(self, number: int) -> None:
        """Send a signal to it alone: what it started is its to end, such as a worker's children after their tasks."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def send_all(self, number: int) -> None:
        """Send a signal to it and what it started, as a terminal does on Ctrl-C."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def wait(self, show: Callable[["Child", bytes], None]) -> int:
        """Give its output to *show* until it ends, and return its exit code, of a signal as a shell has it."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def take() -> None:
            piece = self.read()
            if piece is None:
                loop.remove_reader(self._output)
                ended.set()
            elif piece:
                show(self, piece)

        loop.add_reader(self._output, take)
        code = await self._process.wait()
        self.send_all(signal.SIGTERM)  # what it left behind
        # What it left behind on purpose may keep the output open for ever.
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), 1)
        loop.remove_reader(self._output)
        os.close(self._output)
        return code if code >= 0 else 128 - code


def _prepare(terminal: int) -> None:
    """Leave line ends as they are, which our own terminal turns into its own."""
    modes = termios.tcgetattr(terminal)
    modes[1] &= ~termios.OPOST
    termios.tcsetattr(terminal, termios.TCSANOW, modes)
    with suppress(OSError, termios.error):
        termios.tcsetwinsize(terminal, termios.tcgetwinsize(sys.stdout.fileno()))


def _take_terminal() -> None:
    """Make the new terminal the one of this session: ``/dev/tty``, to which a password's prompt goes."""
    fcntl.ioctl(1, termios.TIOCSCTTY, 0)


def _is_keyboard() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


class Keyboard:
    """Gives what is typed to a command. Ctrl-C and what else is a signal stays ours."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._file = sys.stdin.fileno()

    @classmethod
    @contextmanager
    def given_to(cls, child: Child) -> Iterator[None]:
        """Give *child* the keyboard for the block, if there is one and we are in the foreground."""
        if not (child.is_terminal and _is_keyboard() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()):
            yield
            return
        keyboard, loop = cls(child), asyncio.get_running_loop()
        before = termios.tcgetattr(keyboard._file)
        keyboard._open()
        loop.add_reader(keyboard._file, keyboard._pass)
        loop.add_signal_handler(signal.SIGCONT, keyboard._open)
        try:
            yield
        finally:
            loop.remove_reader(keyboard._file)
            loop.remove_signal_handler(signal.SIGCONT)
            termios.tcsetattr(keyboard._file, termios.TCSADRAIN, before)

    def _open(self) -> None:
        """Have each key come at once, and not be shown here: the command's own terminal does that."""
        tty.setcbreak(self._file, termios.TCSANOW)

    def _pass(self) -> None:
        keys = os.read(self._file, 1024)
        if keys:
            self._child.type(keys)
        else:
            asyncio.get_running_loop().remove_reader(self._file)


def name_of(words: Sequence[str]) -> str:
    """Return what a command is called: of ``python manage.py runserver`` and ``celery -A site worker`` the last word."""
    # What is no word is the code of `-c`.
    rest = [Path(word).name.removesuffix(".py") for word in words if not word.startswith("-") and not re.search(r"\s", word)]
    if len(rest) > 1 and rest[0].startswith(_INTERPRETERS):
        del rest[0]
    program, *others = rest or [Path(words[0]).name]
    if program == "celery":
        return next((word for word in others if word in _CELERY), program)
    return others[0] if program in _MANAGERS and others else program
