"""Tasks of Django's own framework, which there is from Django 6 on, one for each way to end."""

import asyncio
from typing import Any

from django.tasks import TaskContext, task
from structlog.contextvars import bind_contextvars, get_contextvars

from dtx_telemetry import bind_fields, get_logger

log = get_logger(__name__)


@task
def send_letter(hero: str) -> str:
    """Log, and bind something that must not stay."""
    bind_contextvars(bound_by_task=1)
    log.info("sending", hero=hero)
    return hero


@task
def fail() -> None:
    bind_contextvars(bound_by_task=1)
    raise RuntimeError("no mana")


@task
def leave() -> None:
    raise SystemExit(3)


@task
def interrupted() -> None:
    """End as Ctrl-C ends it, with something of its own still open."""
    bind_fields(bound_by_task=1).__enter__()
    raise KeyboardInterrupt


@task(takes_context=True)
def nest(context: TaskContext, depth: int) -> None:
    """Enqueue itself, and log when it is back."""
    if depth:
        nest.enqueue(depth - 1)
    log.info("nested", depth=depth, attempt=context.attempt, bound=get_contextvars())


@task
async def wait(hero: str) -> str:
    await asyncio.sleep(0)
    log.info("waited", hero=hero)
    return hero


def enqueue_all(*names: str) -> None:
    """Enqueue the tasks of these names, in a process of its own (see the tests)."""
    jobs: dict[str, Any] = globals()
    for name in names:
        jobs[name].enqueue(*{"send_letter": ["Invoker"], "nest": [1]}.get(name, []))
