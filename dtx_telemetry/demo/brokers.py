"""The server that tasks and layer messages go through: one of the demo's own, or one that is there."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from kombu import Connection, Exchange

from .errors import DemoError
from .lines import Lines
from .processes import Processes
from .queues import own_queue
from .valkey import ADDRESS

__all__ = ["ACCEPTED", "borrowed", "is_redis", "start_valkey"]

_REDIS = ("redis", "rediss")
_RABBITMQ = ("amqp", "amqps", "pyamqp")
#: The kinds of URL that a broker may have.
ACCEPTED = (*_REDIS, *_RABBITMQ)
_PATIENCE = 5.0


def is_redis(url: str) -> bool:
    """Return True if *url* is a Redis, which can be the channel layer too."""
    return urlsplit(url).scheme in _REDIS


@contextmanager
def borrowed(url: str, name: str) -> Generator[None]:
    """Use the broker at *url* for the block, and take away what is called *name* there after it.

    Raises:
        DemoError: it does not answer.
    """
    connection = Connection(url, connect_timeout=_PATIENCE)
    try:
        with connection, connection.channel():
            pass
    except Exception as error:  # each kind of broker has its own
        raise DemoError(f"the broker {connection.as_uri()} cannot be used: {error}") from error
    try:
        yield
    finally:
        with suppress(Exception):  # one that is gone by now keeps what it has; the queue expires
            _delete(url, name)


def start_valkey(processes: Processes, lines: Lines, folder: Path, environ: Mapping[str, str], deadline: float) -> str:
    """Start a Valkey of our own with its data in *folder*, and return its URL."""
    processes.start("valkey", "-m", "dtx_telemetry.demo.valkey", str(folder), environ=environ, serves=True)

    def addresses() -> list[str]:
        said = [text for process, text in lines.others if process == "valkey" and text.startswith(ADDRESS)]
        return [text.removeprefix(ADDRESS) for text in said]

    lines.expect(addresses, what="the address of Valkey", deadline=deadline, check=processes.check)
    return f"{addresses()[0]}/0"


def _delete(url: str, name: str) -> None:
    with Connection(url, connect_timeout=_PATIENCE) as connection, connection.channel() as channel:
        queue = own_queue(name)(channel)
        queue.declare()  # over Redis only what was declared by this connection can be deleted by it
        queue.delete()
        for exchange in (name, f"{name}.pidbox", f"reply.{name}.pidbox", f"{name}ev"):
            with suppress(*connection.channel_errors):
                Exchange(exchange)(channel).delete()
