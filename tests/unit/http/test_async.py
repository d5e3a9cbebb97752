"""Synchronous and asynchronous chains in every mixture, and no hop to a thread that Django does not make."""

import asyncio
import threading
from contextvars import Context
from typing import Any

import pytest
from asgiref import sync
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, AsyncRequestFactory, RequestFactory, override_settings
from django.utils.decorators import async_only_middleware, sync_and_async_middleware, sync_only_middleware
from structlog.contextvars import get_contextvars

from dtx_telemetry import context, get_logger, operation
from dtx_telemetry.middleware import TelemetryMiddleware
from tests.conftest import LogOutput
from tests.support.handlers import OURS, URLS, serve
from tests.support.tracing import Traced
from tests.unit.http.test_events import closing

pytestmark = URLS
HERE = __name__
log = get_logger(__name__)


@sync_only_middleware
def synchronous(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        log.info("in_sync")
        return get_response(request)

    return middleware


@async_only_middleware
def asynchronous(get_response: Any) -> Any:
    async def middleware(request: Any) -> Any:
        log.info("in_async")
        return await get_response(request)

    return middleware


@sync_and_async_middleware
def either(get_response: Any) -> Any:
    return asynchronous(get_response) if sync.iscoroutinefunction(get_response) else synchronous(get_response)


@pytest.fixture
def hops(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the functions that hopped to a thread."""
    hopped: list[str] = []
    call = sync.SyncToAsync.__call__

    async def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        hopped.append(getattr(self.func, "__qualname__", repr(self.func)))
        return await call(self, *args, **kwargs)

    monkeypatch.setattr(sync.SyncToAsync, "__call__", counted)
    return hopped


@pytest.mark.parametrize("path", ["/http/async/ok/", "/http/async/stream/", "/http/async/redirect/"])
async def test_an_asynchronous_chain_hops_to_no_thread(log_output: LogOutput, hops: list[str], path: str) -> None:
    """View, middleware and body are asynchronous: so are we."""
    with override_settings(MIDDLEWARE=[OURS, f"{HERE}.either"]):
        response = await ASGIHandler().get_response_async(AsyncRequestFactory().get(path))
    if response.streaming:
        assert [part async for part in response] == [b"0;", b"1;", b"2;"]
    assert hops == []
    assert log_output.events("in_async")
    assert closing(log_output.lines)["request.id"] == response["X-Request-ID"]


async def test_many_requests_in_spans_hop_to_no_thread(traced: Traced, hops: list[str]) -> None:
    """With OpenTelemetry on: what sleeps together takes the time of one. A hop for each would make them queue for a thread."""
    with override_settings(MIDDLEWARE=[OURS]):
        handler, factory = ASGIHandler(), AsyncRequestFactory()
        await asyncio.gather(*[handler.get_response_async(factory.get("/http/async/ok/")) for _ in range(200)])
    assert hops == []
    assert len(traced.flushed().spans) == 200


@pytest.mark.parametrize(
    "path", ["/http/async/ok/", "/http/ok/", "/http/async/boom/", "/http/async/missing/", "/http/async/who/"]
)
@pytest.mark.django_db(transaction=True)
async def test_we_add_no_hop_to_djangos(log_output: LogOutput, hops: list[str], path: str) -> None:
    """With the project's middleware, a view of either kind, an exception: the hops are those without us."""
    counted = []
    others = ["django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware"]
    for middleware in (others, [OURS, *others]):
        hops.clear()
        with override_settings(MIDDLEWARE=middleware):
            await AsyncClient(raise_request_exception=False).get(path)
        counted.append(list(hops))
    assert counted[0] == counted[1]


@pytest.mark.parametrize("is_async", [False, True], ids=["wsgi", "asgi"])
@pytest.mark.parametrize("view", ["/http/ok/", "/http/async/ok/"])
@pytest.mark.parametrize(
    "chain",
    [
        [OURS, "synchronous"],
        [OURS, "asynchronous"],
        [OURS, "synchronous", "asynchronous"],
        [OURS, "asynchronous", "synchronous"],
        ["synchronous", OURS, "asynchronous"],
        ["asynchronous", OURS, "synchronous"],
        ["synchronous", "asynchronous", OURS],
    ],
)
def test_any_mixture_keeps_the_context(log_output: LogOutput, is_async: bool, view: str, chain: list[str]) -> None:
    """Every line inside of ours bears the id, none outside does, and there is one event."""
    middleware = [name if name == OURS else f"{HERE}.{name}" for name in chain]
    answer = serve(view, is_async=is_async, middleware=middleware)
    inside = [f"in_{name.removesuffix('hronous')}" for name in chain[chain.index(OURS) + 1 :]]
    assert closing(log_output.lines)["request.id"] == log_output.one("seen")["request.id"] == answer.request_id
    for line in log_output.lines:
        if line["event"].startswith("in_"):
            assert ("request.id" in line) == (line["event"] in inside), line
    assert get_contextvars() == {}


async def test_requests_at_the_same_time_keep_their_own(log_output: LogOutput) -> None:
    """Fifty requests interleaved in one event loop: no line bears another's id."""

    async def view(request: Any) -> HttpResponse:
        for step in range(5):
            log.info("step", path=request.path, step=step)
            await asyncio.sleep(0)
        return HttpResponse()

    middleware = TelemetryMiddleware(view)

    async def ask(number: int) -> None:
        headers = {"X-Request-ID": f"id-{number}"}
        response = await middleware(AsyncRequestFactory().get(f"/api/games/{number}/", headers=headers))
        assert response["X-Request-ID"] == f"id-{number}"

    await asyncio.gather(*map(ask, range(50)))
    assert len(log_output.lines) == 50 * 6
    for line in log_output.lines:
        number = (line.get("path") or line["http.route"]).split("/")[3]
        assert (line["request.id"], line["game.id"]) == (f"id-{number}", int(number))


def test_threads_at_the_same_time_keep_their_own(log_output: LogOutput) -> None:
    """Twenty threads: no line bears another's id."""
    together = threading.Barrier(20)

    def view(request: Any) -> HttpResponse:
        together.wait(30)
        log.info("step", path=request.path)
        return HttpResponse()

    middleware = TelemetryMiddleware(view)

    def ask(number: int) -> None:
        for _ in range(5):
            middleware(RequestFactory().get(f"/api/games/{number}/", headers={"X-Request-ID": f"id-{number}"}))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log_output.lines) == 200
    for line in log_output.lines:
        number = (line.get("path") or line["http.route"]).split("/")[3]
        assert (line["request.id"], line["game.id"]) == (f"id-{number}", int(number))


async def test_a_request_inside_a_request_has_its_own_scope(log_output: LogOutput) -> None:
    """A view that serves another request in-process gets its own context back."""
    inner = TelemetryMiddleware(lambda request: HttpResponse())

    def view(request: Any) -> HttpResponse:
        inner(RequestFactory().get("/inner/"))
        log.info("back")
        return HttpResponse()

    response = TelemetryMiddleware(view)(RequestFactory().get("/outer/"))
    first, second = log_output.events("request_completed")
    assert first["request.id"] != second["request.id"] == response["X-Request-ID"]
    assert log_output.one("back")["request.id"] == response["X-Request-ID"]


async def test_a_view_that_the_garbage_collector_ends(log_output: LogOutput) -> None:
    """It ends inside whatever runs then: its line bears its own id, and what runs keeps its own."""

    async def view(request: Any) -> Any:
        await asyncio.Event().wait()

    def begun() -> Any:
        coroutine = TelemetryMiddleware(view)(AsyncRequestFactory().get("/x/", headers={"X-Request-ID": "left"}))
        coroutine.send(None)
        return coroutine

    coroutine = Context().run(begun)
    with operation("another", "r2"):
        before = get_contextvars()
        coroutine.close()
        assert get_contextvars() == before
    assert log_output.one("request_cancelled")["request.id"] == "left"


async def test_a_body_that_the_garbage_collector_ends(log_output: LogOutput) -> None:
    """In the midst of a piece: what runs then stays in its scope."""

    class Pieces:
        def __aiter__(self) -> "Pieces":
            return self

        async def __anext__(self) -> bytes:
            await asyncio.Event().wait()
            return b""

    async def view(request: Any) -> Any:
        return StreamingHttpResponse(Pieces())

    response = await TelemetryMiddleware(view)(AsyncRequestFactory().get("/x/", headers={"X-Request-ID": "left"}))
    # Not by Django's generators around it: Python 3.12 closes none that waits for its next piece.
    piece = response._iterator.__anext__()
    Context().run(piece.send, None)

    with operation("another", "r2"):
        before, scope = get_contextvars(), context.current_scope()
        piece.close()
        assert get_contextvars() == before
        assert context.current_scope() is scope
    assert log_output.one("request_cancelled")["request.id"] == "left"
