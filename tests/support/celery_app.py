"""Celery apps of a test's own: one to publish with, and a worker in a thread of this process."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import kombu
import pytest
from celery import Celery, _state
from celery.app.trace import reset_worker_optimizations
from celery.contrib.testing.worker import start_worker
from kombu.transport import memory

from . import filesystem  # noqa: F401 - for its effect
from .brokers import Broker

__all__ = ["make_app", "messages", "working"]


def make_app(broker: Broker | None = None, **conf: Any) -> Celery:
    """Return an app that nobody else finds; register its tasks with ``shared=False``, or every other app has them too."""
    broker = broker or Broker("memory://", {"polling_interval": 0.01}, queue=f"test-{uuid.uuid4().hex}")
    app = Celery("test", set_as_current=False)
    app.conf.update(
        broker_url=broker.url,
        broker_transport_options=broker.options,
        result_backend=broker.results,
        task_default_queue=broker.queue,
        event_exchange=f"{broker.queue}ev",
        control_exchange=broker.queue,
        worker_enable_remote_control=False,
    )
    app.conf.update(conf)
    return app


class _Connection(kombu.Connection):
    """Lets a worker look ten times a second, and not every other second, whether it is to end."""

    def drain_events(self, **options: Any) -> Any:
        if options.get("timeout"):
            options["timeout"] = min(options["timeout"], 0.1)
        return super().drain_events(**options)


@contextmanager
def working(app: Celery, *, pool: str = "solo", **options: Any) -> Iterator[None]:
    """Run a worker of *app* in a thread; what Celery changes in the process for it is put back."""
    found = _state._tls.current_app, _state.default_app
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(app.amqp, "Connection", _Connection)
            with start_worker(app, pool=pool, perform_ping_check=False, **options):
                yield
    finally:
        reset_worker_optimizations(app)
        _state._tls.current_app, _state.default_app = found


def messages(app: Celery) -> list[dict[str, Any]]:
    """Return the headers of the messages that wait in the queue of an app on ``memory://``, as they would be delivered."""
    queue = memory.Channel.queues.get(app.conf.task_default_queue)
    return [json.loads(json.dumps(message))["headers"] for message in (queue.queue if queue is not None else ())]
