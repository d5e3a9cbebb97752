"""Real processes: servers, workers and commands of the project under ``tests/project``, each in an environment of its own."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import psutil

from .lines import Line, parse_line, with_event
from .ports import reserved_port
from .waiting import wait_until

__all__ = ["ROOT", "STOPPED_EARLY", "Process", "Processes", "clean_environ", "run_python"]

ROOT = Path(__file__).parents[2]
_KEPT = ("HOME", "LANG", "LC_ALL", "PATH", "SYSTEMROOT", "TMPDIR", "TZ", "VIRTUAL_ENV")


def clean_environ(**more: str) -> dict[str, str]:
    """Return an environment in which nothing configures telemetry, for a process that runs the project."""
    environ = {name: os.environ[name] for name in _KEPT if name in os.environ}
    project = {
        "DJANGO_SETTINGS_MODULE": "tests.project.settings",
        "PYTHONFAULTHANDLER": "1",  # see Process.stacks
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }
    return {**environ, **project, **more}


def run_python(code: str, *, deadline: float = 180, **environ: str) -> str:
    """Run *code*, indented as it may be, in a new interpreter that no Django project is set up for; return its stdout.

    Args:
        code: fails the test where it raises.
        deadline: seconds that it may take.
        environ: what it gets besides.
    """
    given = {name: value for name, value in clean_environ().items() if name != "DJANGO_SETTINGS_MODULE"}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, env={**given, **environ}, cwd=ROOT, capture_output=True, text=True, timeout=deadline)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


class Process:
    """A started process whose output is read as it comes.

    Attributes:
        lines: the JSON objects that it wrote to stdout, in order.
        other: what it wrote to stdout besides.
        errors: what it wrote to stderr, line by line.
    """

    def __init__(self, args: list[str], environ: Mapping[str, str], **options: Any) -> None:
        self.args = args
        self.lines: list[Line] = []
        self.other: list[str] = []
        self.errors: list[str] = []
        self._news = threading.Condition()
        self.popen = subprocess.Popen(
            args,
            env=dict(environ),
            cwd=options.pop("cwd", ROOT),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
            start_new_session=True,
            **options,
        )
        self._readers = [
            threading.Thread(target=self._read, args=(stream, take), daemon=True)
            for stream, take in ((self.popen.stdout, self._take), (self.popen.stderr, self.errors.append))
        ]
        for reader in self._readers:
            reader.start()

    def __repr__(self) -> str:
        return f"<Process {self.popen.pid} {' '.join(self.args)}>"

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def text(self) -> str:
        """Everything that it wrote, for the message of a test that failed."""
        return "\n".join([repr(self), *map(repr, self.lines), "--- not JSON:", *self.other, "--- stderr:", *self.errors])

    def wait_for(self, predicate: Callable[[Line], bool], *, deadline: float = 180, count: int = 1) -> Line:
        """Return the first line for which *predicate* holds, once *count* of them are there.

        Raises:
            AssertionError: they did not come in time, or the process ended before; the message has its whole output.
        """
        return self.wait_for_lines(predicate, deadline=deadline, count=count)[0]

    def wait_for_lines(self, predicate: Callable[[Line], bool], *, deadline: float = 180, count: int = 1) -> list[Line]:
        """Return the lines for which *predicate* holds, once *count* of them are there; see `wait_for`."""
        end = time.monotonic() + deadline
        while True:
            ended = self.ended and not any(reader.is_alive() for reader in self._readers)
            found = [line for line in tuple(self.lines) if predicate(line)]
            if len(found) >= count:
                return found
            if ended or time.monotonic() > end:
                why = f"it ended with {self.popen.returncode}" if ended else f"{deadline} seconds went by"
                raise AssertionError(f"{len(found)} of {count} lines when {why}:\n{self.text}")
            with self._news:
                self._news.wait(0.05)

    def wait_for_event(self, event: str, *, deadline: float = 180, count: int = 1, **fields: Any) -> Line:
        """Return the first line of *event* with these fields (see `with_event`), once *count* of them are there."""
        return self.wait_for(lambda line: bool(with_event([line], event, **fields)), deadline=deadline, count=count)

    def wait_for_text(self, text: str, *, deadline: float = 180) -> None:
        """Wait until *text* stands somewhere in the output; fails as `wait_for` does."""
        end = time.monotonic() + deadline
        while text not in self.text:
            ended = self.ended and not any(reader.is_alive() for reader in self._readers)
            if ended or time.monotonic() > end:
                raise AssertionError(f"no {text!r} in the output:\n{self.text}")
            with self._news:
                self._news.wait(0.05)

    def wait_for_port(self, *, deadline: float = 180) -> int:
        """Return the port on which it or a child of it listens: start a server with port 0, and no port is ever taken."""
        wait_until(lambda: self.ended or self.ports(), deadline=deadline, what=f"a listening port of {self!r}")
        assert not self.ended, self.text
        return self.ports()[0]

    @property
    def ended(self) -> bool:
        return self.popen.poll() is not None

    def send_signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def wait(self, *, deadline: float = 180) -> int:
        """Return the exit code, once the process has ended and its output is read.

        Raises:
            AssertionError: it did not end in time.
        """
        try:
            self.popen.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {deadline} seconds:\n{self.stacks()}") from None
        for reader in self._readers:
            reader.join(deadline)
        return self.popen.returncode

    def stop(self, number: int = signal.SIGTERM, *, deadline: float = 180) -> int:
        """Ask the process to end, as a supervisor does, and return its exit code; see `wait`."""
        if not self.ended:
            self.send_signal(number)
        return self.wait(deadline=deadline)

    def stacks(self) -> str:
        """End the process and its children where they hang; return everything that they wrote, with where each thread was."""
        family = self._family()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGABRT)
        psutil.wait_procs(family, timeout=5)
        for reader in self._readers:
            reader.join(5)
        return self.text

    def kill(self) -> None:
        """End the process, its children and its readers, whatever state they are in."""
        for process in self._family():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        for reader in self._readers:
            reader.join(5)
        for stream in (self.popen.stdout, self.popen.stderr):
            if stream is not None:
                stream.close()

    def children(self) -> list[psutil.Process]:
        """Return the processes below this one: a prefork worker's, a server's."""
        return self._family()[1:]

    def _family(self) -> list[psutil.Process]:
        try:
            process = psutil.Process(self.popen.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def ports(self) -> list[int]:
        """Return the ports on which it or a child of it listens now."""
        ports = []
        for process in self._family():
            try:
                connections = process.net_connections("tcp")
            except psutil.Error:
                continue
            ports += [connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN]
        return ports

    def _read(self, stream: TextIO, take: Callable[[str], None]) -> None:
        try:
            for text in stream:
                take(text.rstrip("\n"))
                with self._news:
                    self._news.notify_all()
        except ValueError:  # closed while it was read: the process is being killed
            return

    def _take(self, text: str) -> None:
        try:
            self.lines.append(parse_line(text))
        except ValueError:
            self.other.append(text)


class Processes:
    """Starts processes of the project and ends them all: `environ` is what they get, to be added to before."""

    def __init__(self, **environ: str) -> None:
        self.environ = clean_environ(**environ)
        self._started: list[Process] = []

    def __iter__(self) -> Iterator[Process]:
        return iter(self._started)

    def python(self, *args: str, env: Mapping[str, str] | None = None, **options: Any) -> Process:
        """Start ``python ARGS`` by this interpreter."""
        process = Process([sys.executable, *args], {**self.environ, **(env or {})}, **options)
        self._started.append(process)
        return process

    def worker(
        self, *args: str, pool: str = "threads", concurrency: int = 2, app: str = "tests.project", **options: Any
    ) -> Process:
        """Start a Celery worker and return it once it takes tasks."""
        quiet = ("--without-gossip", "--without-mingle")  # with its heartbeat: between beats a worker notices no signal
        command = ("-m", "celery", "-A", app, "worker", "-P", pool, "-c", str(concurrency), *quiet, *args)
        process = self.python(*command, **options)
        process.wait_for_text(" ready.", deadline=180)
        return process

    def beat(self, *args: str, **options: Any) -> Process:
        return self.python("-m", "celery", "-A", "tests.project", "beat", *args, **options)

    def uvicorn(self, *args: str, app: str = "tests.project.asgi:application", **options: Any) -> Process:
        """Start uvicorn on any port (see `Process.wait_for_port`).

        Told to stop, it waits for consumers. One whose channel layer has lost a cancellation never ends, with us and without.
        """
        return self.python("-m", "uvicorn", app, "--port", "0", "--timeout-graceful-shutdown", "60", *args, **options)

    def daphne(self, *args: str, app: str = "tests.project.asgi:application", **options: Any) -> Process:
        return self.python("-m", "daphne", "-b", "127.0.0.1", "-p", "0", *args, app, **options)

    def granian(self, *args: str, app: str = "tests.project.asgi:application", **options: Any) -> Process:
        command = ("-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", str(reserved_port()), *args, app)
        return self.python(*command, **options)

    def gunicorn(self, *args: str, app: str = "tests.project.wsgi:application", **options: Any) -> Process:
        return self.python("-m", "gunicorn", "-b", "127.0.0.1:0", "--no-control-socket", *args, app, **options)

    def manage(self, *args: str, **options: Any) -> Process:
        return self.python("tests/project/manage.py", *args, **options)

    def runserver(self, *args: str, **options: Any) -> Process:
        return self.manage("runserver", "--noreload", "0", *args, **options)

    def kill(self) -> None:
        for process in reversed(self._started):
            process.kill()


#: Servers that do not wait for what runs when they are stopped: their patience is over, or they are told to have none.
STOPPED_EARLY: dict[str, Callable[[Processes], Process]] = {
    "uvicorn": lambda processes: processes.uvicorn("--timeout-graceful-shutdown", "1"),
    "uvicorn's workers": lambda processes: processes.uvicorn("--timeout-graceful-shutdown", "1", "--workers", "2"),
    "gunicorn gevent": lambda processes: processes.gunicorn("-k", "gevent", "--graceful-timeout", "60"),
}
