"""Tasks that end in every way there is."""

import logging
import time
from typing import Any

from asgiref.sync import async_to_sync
from celery import Task, shared_task
from celery.exceptions import Ignore, Reject
from channels.layers import get_channel_layer
from structlog.contextvars import get_contextvars

from dtx_telemetry import get_logger

log = get_logger(__name__)


class ExpectedError(Exception):
    """An error that the task `fail_as_expected` names in its ``throws``."""


@shared_task
def echo(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """Log one line, and return what is bound."""
    log.info("echo", args_given=list(args), kwargs_given=kwargs)
    return get_contextvars()


@shared_task
def work(steps: int = 1) -> None:
    """Log some lines, ours and of stdlib logging."""
    for step in range(steps):
        log.info("work_step", step=step)
    logging.getLogger("third.party").info("worked %d steps", steps)


@shared_task
def fail(message: str = "no mana") -> None:
    raise RuntimeError(message)


@shared_task(throws=(ExpectedError,))
def fail_as_expected(message: str = "not yours") -> None:
    raise ExpectedError(message)


@shared_task(bind=True, max_retries=5, default_retry_delay=0)
def retry(self: Task, times: int = 1) -> dict[str, Any]:
    """Retry itself so often, then return what is bound."""
    if self.request.retries < times:
        raise self.retry(exc=RuntimeError("again"))
    return get_contextvars()


@shared_task
def ignore() -> None:
    raise Ignore


@shared_task(acks_late=True)
def reject(requeue: bool = False) -> None:
    raise Reject("not here", requeue=requeue)


@shared_task
def sleep(seconds: float) -> None:
    """Take its time, in small naps."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.02)


@shared_task
def say(text: str) -> None:
    """Print, as code that knows no logging does."""
    print(text)


@shared_task
def publish(depth: int = 1) -> str:
    """Publish itself again and again, or the echo in the end; return that task's id."""
    log.info("publishing", depth=depth)
    result = publish.delay(depth - 1) if depth > 1 else echo.delay()
    return str(result.id)


@shared_task
def tell_group(group: str, text: str) -> None:
    """Send a message to the consumers of a group."""
    log.info("telling", group=group)
    async_to_sync(get_channel_layer().group_send)(group, {"type": "told", "text": text})
