"""What publishing and executing a task cost over Celery alone: ours, and django-structlog's ``DjangoStructLogInitStep``.

In one process, lines as JSON; Celery's own lines are off, since each would be a line of the one or the other.
"""

import copy
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

from .harness import Comparison, Costs, Subject, compare

__all__ = ["comparisons", "executor", "publisher"]

OURS, PEER, BARE = "dtx_telemetry", "django-structlog", "bare Celery"
FIELDS = {"request.id": "0af7651916cd43dd8448eb211c80319c", "user.id": 42, "labels": ["tournament"], "tournament.id": 5}


def comparisons(rounds: int) -> Iterator[Comparison]:
    """Yield the tables of this module."""
    for title, maker in (("publishing a task", "publisher"), ("executing a task", "executor")):
        subjects = [Subject(name, f"{__name__}:{maker}", (name,)) for name in (BARE, OURS, PEER)]
        yield compare(title, subjects, {"what we add to what django-structlog adds": _added}, rounds=rounds)


def _added(costs: Costs) -> float:
    return (costs[OURS] - costs[BARE]) / (costs[PEER] - costs[BARE])


# Signals hold a receiver weakly; in a worker its boot step keeps it.
_kept: list[object] = []


def publisher(name: str) -> Callable[[], None]:
    """Publish by name to a broker in this process, which forgets each message at once."""
    from kombu.transport.memory import Channel

    app = _app(name)

    def work() -> None:
        app.send_task("work")
        Channel.queues["celery"].queue.clear()

    return _in_scope(name, work)


def executor(name: str) -> Callable[[], None]:
    """Run a task that does nothing, as a worker's process does with the message of the publisher above."""
    from celery.app.trace import build_tracer
    from kombu.transport.memory import Channel

    app = _app(name)

    @app.task(name="work", ignore_result=True)
    def work() -> None:
        pass

    headers: dict[str, Any] = {}

    def publish() -> None:
        app.send_task("work")
        headers.update(Channel.queues["celery"].get()["headers"])

    _in_scope(name, publish)()
    request = {**headers, "delivery_info": {"routing_key": "celery"}, "is_eager": False}
    trace = build_tracer("work", app.tasks["work"], app=app)

    def execute() -> None:
        trace(headers["id"], (), {}, dict(request))

    return execute


def _app(name: str) -> Any:
    """Return a Celery app in a process that is set up for *name*."""
    from celery import Celery

    logging.getLogger("celery").setLevel(logging.WARNING)
    {BARE: lambda: None, OURS: _set_up_ours, PEER: _set_up_peer}[name]()
    app = Celery("benchmark", broker="memory://", backend="disabled://")
    app.finalize()
    return app


def _set_up_ours() -> None:
    os.environ.update(LOG_FORMAT="json", LOG_LEVELS="celery=WARNING")
    import dtx_telemetry.celery  # noqa: F401 - for its effect
    from dtx_telemetry import init_telemetry

    init_telemetry()


def _set_up_peer() -> None:
    """Set it up as its documentation does."""
    import django
    import structlog
    from django.conf import settings

    from .http import configure_structlog

    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "processor": structlog.processors.JSONRenderer(),
        "foreign_pre_chain": [structlog.contextvars.merge_contextvars],
    }
    settings.configure(
        INSTALLED_APPS=["django_structlog"],
        DJANGO_STRUCTLOG_CELERY_ENABLED=True,
        LOGGING={
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": formatter},
            "handlers": {"json": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}},
            "root": {"handlers": ["json"], "level": "INFO"},
        },
    )
    configure_structlog()
    django.setup()
    from django_structlog.celery.receivers import CeleryReceiver

    peer = CeleryReceiver()
    peer.connect_worker_signals()
    _kept.append(peer)


def _in_scope(name: str, work: Callable[[], None]) -> Callable[[], None]:
    """Return *work* with a request's fields bound, where there is something to bind them."""
    if name == BARE:
        return work
    import structlog

    if name == OURS:
        from dtx_telemetry import context

        context.enter_root(FIELDS)
    else:
        structlog.contextvars.bind_contextvars(**copy.deepcopy(FIELDS))
    return work
