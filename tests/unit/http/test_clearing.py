"""``structlog.contextvars.clear_contextvars()``, which structlog's guide has applications call, takes nothing of the scope."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from celery import Celery
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path
from django.utils.decorators import sync_and_async_middleware
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

import dtx_telemetry.celery  # noqa: F401 - for its signals
from dtx_telemetry import get_logger, get_request_id, outgoing_headers
from dtx_telemetry.context import current_scope
from tests.conftest import LogOutput
from tests.support.celery_app import make_app, messages
from tests.support.handlers import OURS, serve
from tests.support.scopes import without_ids
from tests.unit.http.test_events import closing
from tests.unit.http.test_users import made_session

pytestmark = pytest.mark.urls(__name__)
BOTH = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
OWN = {"labels": ["tournament"], "tournament.id": 5}
log = get_logger(__name__)
app: Celery


@pytest.fixture(autouse=True)
def _app(monkeypatch: pytest.MonkeyPatch) -> None:
    global app  # noqa: PLW0603 - for the views below
    app = make_app()
    app.task(lambda: None, name="echo", shared=False)


def cleared(request: HttpRequest) -> HttpResponse:
    bind_contextvars(own="before")
    clear_contextvars()
    bind_contextvars(mine="after")
    log.info("cleared", headers=outgoing_headers(), id=get_request_id())
    app.send_task("echo")
    return HttpResponse()


async def acleared(request: HttpRequest) -> HttpResponse:
    return cleared(request)


def streamed(request: HttpRequest) -> HttpResponse:
    def pieces() -> Iterator[str]:
        clear_contextvars()
        log.info("piece", number=1)
        yield "a"
        log.info("piece", number=2)
        app.send_task("echo")
        yield "b"

    return StreamingHttpResponse(pieces())


urlpatterns = [
    path("api/tournaments/5/cleared/", cleared),
    path("api/tournaments/5/acleared/", acleared),
    path("api/tournaments/5/streamed/", streamed),
    path("api/tournaments/5/plain/", lambda request: HttpResponse(log.info("cleared") or "")),
]


@sync_and_async_middleware
def clearing(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A middleware that clears before the view, as structlog's guide shows it."""

    def before(request: Any) -> Any:
        clear_contextvars()
        return get_response(request)

    async def abefore(request: Any) -> Any:
        clear_contextvars()
        return await get_response(request)

    return abefore if iscoroutinefunction(get_response) else before


def own_fields(line: dict[str, Any], request_id: str) -> bool:
    return line.items() >= (OWN | {"request.id": request_id}).items()


@BOTH
@pytest.mark.parametrize("view", ["cleared", "acleared"])
def test_a_view_that_clears_keeps_the_requests_fields(log_output: LogOutput, is_async: bool, view: str) -> None:
    """On later lines, on the closing event, in a task and in the headers of a call; what the view had bound is gone."""
    answer = serve(f"/api/tournaments/5/{view}/", is_async=is_async)
    line, end = log_output.one("cleared"), closing(log_output.lines)
    assert own_fields(line, answer.request_id)
    assert own_fields(end, answer.request_id)
    assert [line["mine"], end["mine"]] == ["after", "after"]
    assert not {"own"} & (line.keys() | end.keys())
    assert (line["id"], line["headers"]) == (answer.request_id, {"X-Request-ID": answer.request_id})
    assert own_fields(log_output.one("task_published"), answer.request_id)
    (headers,) = messages(app)
    assert headers["request.id"] == answer.request_id
    assert without_ids(headers["dtx.context"]) == OWN | {"mine": "after"}
    assert (get_contextvars(), current_scope()) == ({}, None)


@BOTH
def test_a_middleware_that_clears_keeps_the_requests_fields(log_output: LogOutput, is_async: bool) -> None:
    """Wherever it stands inside of ours."""
    with override_settings(MIDDLEWARE=[OURS, f"{__name__}.clearing"]):
        answer = serve("/api/tournaments/5/plain/", is_async=is_async)
    assert own_fields(log_output.one("cleared"), answer.request_id)
    assert own_fields(closing(log_output.lines), answer.request_id)


def test_a_body_that_clears_keeps_the_requests_fields(log_output: LogOutput) -> None:
    """In the pieces that follow, in what it publishes, and at its end."""
    answer = serve("/api/tournaments/5/streamed/")
    assert [own_fields(line, answer.request_id) for line in log_output.events("piece")] == [True, True]
    assert own_fields(closing(log_output.lines), answer.request_id)
    assert messages(app)[0]["request.id"] == answer.request_id
    assert (get_contextvars(), current_scope()) == ({}, None)


@BOTH
def test_the_user_stays_known(log_output: LogOutput, db: None, is_async: bool) -> None:
    """``user.id`` is bound later than the rest, and is as much the request's own."""
    user = get_user_model().objects.create(username="invoker", password="as if it were hashed")
    serve("/api/tournaments/5/cleared/", session=made_session(user).session_key, is_async=is_async)
    assert log_output.one("cleared")["user.id"] == closing(log_output.lines)["user.id"] == user.pk
    assert messages(app)[0]["dtx.context"]["user.id"] == user.pk


@pytest.mark.leaves_bound
def test_what_the_process_had_bound_is_there_again(log_output: LogOutput) -> None:
    """A view that clears takes nothing from the thread that serves it."""
    bind_contextvars(service="mine")
    serve("/api/tournaments/5/cleared/")
    assert get_contextvars() == {"service": "mine"}
