"""In an application's own tests: the app and the worker that pytest-celery's fixtures make, in the test's process."""

from typing import Any

import pytest
from celery import Celery

import dtx_telemetry.celery
from dtx_telemetry import context, events, get_logger, get_request_id
from tests.conftest import LogOutput
from tests.support.waiting import wait_until

assert dtx_telemetry.celery  # imported once, as an application does
log = get_logger(__name__)


@pytest.fixture(scope="session")
def celery_worker_parameters() -> dict[str, Any]:
    return {"perform_ping_check": False, "shutdown_timeout": 30}


def test_a_task_has_the_id_of_the_test_that_published_it(
    celery_session_app: Celery, celery_session_worker: Any, log_output: LogOutput
) -> None:
    """The worker's thread binds what the message carried, and the test finds the same id on the lines of both."""

    @celery_session_app.task(shared=False)  # type: ignore[untyped-decorator]
    def announce() -> str | None:
        log.info("announced")
        return get_request_id()

    celery_session_worker.reload()
    scope = context.enter_root(events.OPERATION, {"request.id": "fixtures-1"})
    try:
        result = announce.delay()
    finally:
        scope.leave()
    assert result.get(timeout=60) == "fixtures-1"
    wait_until(lambda: log_output.events("task_completed"))
    for event in ("task_published", "task_started", "announced", "task_completed"):
        assert log_output.one(event, request_id="fixtures-1")


def test_an_eager_task_has_its_callers_id(celery_session_app: Celery) -> None:
    """Without a worker the task runs in the caller's own scope."""

    @celery_session_app.task(shared=False)  # type: ignore[untyped-decorator]
    def read() -> str | None:
        return get_request_id()

    scope = context.enter_root(events.OPERATION, {"request.id": "fixtures-2"})
    try:
        assert read.apply().get() == "fixtures-2"
    finally:
        scope.leave()
    assert get_request_id() is None
