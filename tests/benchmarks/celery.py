"""What a task costs: over Celery alone, beside django-structlog; and as a whole, beside Celery with its own logging.

In the first two tables each half is called in one process, with lines as JSON and Celery's own off, since each would be a line
of the one or the other. Peers are set up as their documentation does for the process that is measured: publishing is a web
process's, executing a worker's. In the last one a real worker takes the tasks, all lines are on, and go to the null device.
"""

import copy
import logging
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from .harness import Comparison, Costs, Subject, compare

__all__ = ["comparisons", "connect_peers_worker", "executor", "executor_of", "make_app", "publisher", "publisher_of"]

OURS, PEER, BARE = "dtx_telemetry", "django-structlog", "bare Celery"
# Its app and its boot step each connect receivers of what is published.
PEERS_WORKER = "django-structlog in a worker, its receivers connected twice"
DEFAULT = "Celery with its own logging"
TASKS = 10
FIELDS = {"request.id": "0af7651916cd43dd8448eb211c80319c", "user.id": 42, "labels": ["tournament"], "tournament.id": 5}


def comparisons(rounds: int) -> Iterator[Comparison]:
    """Yield the tables of this module."""
    added = {"what we add to what django-structlog adds": _added}
    for title, maker, names in (
        ("publishing a task", "publisher", (BARE, OURS, PEER, PEERS_WORKER)),
        ("executing a task", "executor", (BARE, OURS, PEER)),
    ):
        subjects = [Subject(name, f"{__name__}:{maker}", (name,)) for name in names]
        yield compare(title, subjects, added, rounds=rounds)
    subjects = [Subject(name, f"{__name__}:worker", (name,)) for name in (OURS, DEFAULT)]
    yield compare(f"{TASKS} tasks, published to a solo worker and executed by it", subjects, rounds=rounds)


def _added(costs: Costs) -> float:
    return (costs[OURS] - costs[BARE]) / (costs[PEER] - costs[BARE])


# Signals hold a receiver weakly; in a worker its boot step is kept by the worker.
_kept: list[object] = []


def publisher(name: str) -> Callable[[], None]:
    """Publish by name to a broker in this process, which forgets each message at once."""
    return _in_scope(name, publisher_of(_app(name)))


def publisher_of(app: Any) -> Callable[[], None]:
    """The same with an *app* in a process that is set up."""
    from kombu.transport.memory import Channel

    def work() -> None:
        app.send_task("work")
        Channel.queues["celery"].queue.clear()

    return work


def executor(name: str) -> Callable[[], None]:
    """Run a task that does nothing, as a worker's process does with the message of the publisher above."""

    def task() -> None:
        pass

    return executor_of(_app(PEERS_WORKER if name == PEER else name), task, partial(_in_scope, name))


def executor_of(
    app: Any, body: Callable[[], None], in_scope: Callable[[Callable[[], None]], Callable[[], None]] = lambda work: work
) -> Callable[[], None]:
    """The same with an *app* in a process that is set up.

    Args:
        app: runs the task.
        body: what the task does.
        in_scope: wraps what publishes its message.
    """
    from celery.app.trace import build_tracer
    from kombu.transport.memory import Channel

    app.task(name="work", ignore_result=True)(body)
    headers: dict[str, Any] = {}

    def publish() -> None:
        app.send_task("work")
        headers.update(Channel.queues["celery"].get()["headers"])

    in_scope(publish)()
    request = {**headers, "delivery_info": {"routing_key": "celery"}, "is_eager": False}
    trace = build_tracer("work", app.tasks["work"], app=app)

    def execute() -> None:
        trace(headers["id"], (), {}, dict(request))

    return execute


def worker(name: str) -> Callable[[], None]:
    """Publish tasks to a solo worker in a thread of this process, and wait until Celery has done with the last of them."""
    from celery import Celery
    from celery.contrib.testing.worker import start_worker

    os.dup2(1, 2)  # where Celery's own logging goes
    if name == OURS:
        os.environ.update(LOG_FORMAT="json")
        import dtx_telemetry.celery  # noqa: F401 - for its effect
    app = Celery("benchmark", broker="memory://", backend="disabled://")
    app.conf.update(broker_transport_options={"polling_interval": 0.005}, worker_enable_remote_control=False)

    @app.task(name="work", ignore_result=True)
    def work() -> None:
        pass

    done = threading.Semaphore(0)
    app.loader.on_process_cleanup = done.release  # what Celery calls last
    context = start_worker(app, pool="solo", loglevel="INFO", perform_ping_check=False)
    context.__enter__()
    _kept.append(context)

    def run() -> None:
        for _ in range(TASKS):
            work.delay()
        for _ in range(TASKS):
            done.acquire()

    return _in_scope(name, run)


def _app(name: str) -> Any:
    """Return a Celery app in a process that is set up for *name*."""
    logging.getLogger("celery").setLevel(logging.WARNING)
    makers = {BARE: lambda: None, OURS: _set_up_ours, PEER: _set_up_peer, PEERS_WORKER: _set_up_peers_worker}
    makers[name]()
    return make_app()


def make_app() -> Any:
    """Return a Celery app whose messages stay in this process."""
    from celery import Celery

    app = Celery("benchmark", broker="memory://", backend="disabled://")
    app.finalize()
    return app


def _set_up_ours() -> None:
    os.environ.update(LOG_FORMAT="json", LOG_LEVELS="celery=WARNING")
    import dtx_telemetry.celery  # noqa: F401 - for its effect
    from dtx_telemetry import init_telemetry

    init_telemetry()


def _set_up_peer() -> None:
    """Set it up as its documentation does for a web process."""
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


def _set_up_peers_worker() -> None:
    """Set it up as in a worker, where its boot step comes to its app."""
    _set_up_peer()
    connect_peers_worker()


def connect_peers_worker() -> None:
    """Do what django-structlog's boot step does in a worker."""
    from django_structlog.celery.steps import DjangoStructLogInitStep

    _kept.append(DjangoStructLogInitStep(None))


def _in_scope(name: str, work: Callable[[], None]) -> Callable[[], None]:
    """Return *work* with a request's fields bound, where there is something to bind them."""
    if name in {BARE, DEFAULT}:
        return work
    import structlog

    if name == OURS:
        from dtx_telemetry import context

        context.enter(None, FIELDS)  # of no kind, so that it has no span
    else:
        structlog.contextvars.bind_contextvars(**copy.deepcopy(FIELDS))
    return work
