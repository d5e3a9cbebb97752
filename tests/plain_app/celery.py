"""The plain app: telemetry is imported, no more. It binds a name of its own, and tells what is bound after a task."""

import gc
import json
import os
from typing import Any

from celery import Celery
from celery.loaders.app import AppLoader
from celery.signals import worker_process_shutdown, worker_shutdown
from structlog.contextvars import bind_contextvars, get_contextvars

import dtx_telemetry.celery  # noqa: F401 - for its effect
from dtx_telemetry import context, get_logger
from dtx_telemetry.celery import reports
from tests.support import filesystem  # noqa: F401 - for its effect

log = get_logger(__name__)
bind_contextvars(service="plain")


class Loader(AppLoader):  # type: ignore[misc]
    """Tells what is bound when Celery has done with an execution: what was left behind."""

    def on_process_cleanup(self) -> None:
        log.info("task_left", left=get_contextvars())


app = Celery("tests.plain_app", include=["tests.plain_app.tasks"], loader=Loader)
app.conf.update(
    broker_url=os.environ.get("DTX_TEST_BROKER", "memory://"),
    broker_transport_options=json.loads(os.environ.get("DTX_TEST_BROKER_OPTIONS", "{}")),
    broker_connection_retry_on_startup=True,
    result_backend=os.environ.get("DTX_TEST_RESULTS", "cache+memory://"),
    task_default_queue=os.environ.get("DTX_TEST_QUEUE", "celery"),
    event_exchange=os.environ.get("DTX_TEST_QUEUE", "celery") + "ev",
    control_exchange=os.environ.get("DTX_TEST_QUEUE", "celery"),
)
app.conf.update(json.loads(os.environ.get("DTX_TEST_CELERY", "{}")))


@worker_shutdown.connect
@worker_process_shutdown.connect
def tell_what_is_held(**_: Any) -> None:
    """Tell how much of ours there still is as a process of the worker ends."""
    gc.collect()
    scopes = sum(type(held) is context.Scope for held in gc.get_objects())
    log.info("held", scopes=scopes, received=len(reports._received), variables=context.variables())
