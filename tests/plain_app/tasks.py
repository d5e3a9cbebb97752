"""Tasks of the plain app, one for each way to end."""

import os
import signal
import sys
import time
from typing import Any

from celery import Task, shared_task
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from structlog.contextvars import bind_contextvars, get_contextvars

from dtx_telemetry import get_logger

log = get_logger(__name__)


class ExpectedError(Exception):
    """An error that a task names in its ``throws``."""


@shared_task
def echo(*args: Any, **kwargs: Any) -> None:
    """Log what came and what is bound, and bind something that must not stay."""
    log.info("echo", args_given=list(args), kwargs_given=kwargs, bound=get_contextvars())
    bind_contextvars(bound_by_task=1)


@shared_task
def fail() -> None:
    bind_contextvars(bound_by_task=1)
    raise RuntimeError("no mana")


class FailsToSay(Task):
    """A task whose ``on_failure`` fails."""

    def on_failure(self, *args: Any) -> None:
        raise LookupError("nobody to tell")


@shared_task(base=FailsToSay)
def fail_to_say() -> None:
    raise RuntimeError("no mana")


@shared_task(throws=(ExpectedError,))
def fail_as_expected() -> None:
    raise ExpectedError("not yours")


@shared_task(bind=True, max_retries=5, default_retry_delay=0)
def retry(self: Task, times: int) -> None:
    if self.request.retries < times:
        raise self.retry(exc=RuntimeError("again"))


@shared_task(autoretry_for=(RuntimeError,), max_retries=1, retry_backoff=False, default_retry_delay=0)
def autoretry() -> None:
    raise RuntimeError("again")


@shared_task
def ignore() -> None:
    bind_contextvars(bound_by_task=1)
    raise Ignore


@shared_task(acks_late=True)
def reject() -> None:
    bind_contextvars(bound_by_task=1)
    raise Reject("not here", requeue=False)


@shared_task(bind=True)
def replace(self: Task) -> None:
    raise self.replace(echo.s("instead"))


@shared_task
def sleep(seconds: float) -> None:
    bind_contextvars(bound_by_task=1)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.02)


@shared_task
def catch_limit() -> None:
    """Run into the soft time limit, and end well."""
    try:
        time.sleep(30)
    except SoftTimeLimitExceeded:
        log.info("limit_caught")


@shared_task
def kill() -> None:
    """End the process that runs it, with nobody there to notice."""
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task
def leave() -> None:
    sys.exit(3)


@shared_task
def nest(depth: int) -> None:
    """Publish itself, and the echo in the end."""
    if depth:
        nest.delay(depth - 1)
    else:
        echo.delay()


@shared_task
def say(text: str) -> None:
    print(text)
    log.debug("said")


@shared_task
def told(task_id: str) -> None:
    """Be an error callback that is published as a task, with the failed task's id."""


@shared_task(bind=True, retry_on_worker_lost=True, max_retries=3, default_retry_delay=0)
def kill_once(self: Task) -> None:
    """End its process the first time."""
    if not self.request.retries:
        os.kill(os.getpid(), signal.SIGKILL)
