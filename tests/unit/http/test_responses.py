"""Responses: whose id they bear when they are given out again, and what runs as they are closed."""

import asyncio
import gc
import pickle
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory, override_settings
from django.urls import path
from django.utils.decorators import sync_and_async_middleware
from structlog.contextvars import bind_contextvars, get_contextvars

from dtx_telemetry import get_logger
from dtx_telemetry.context import current_scope, outgoing_fields
from dtx_telemetry.middleware import TelemetryMiddleware
from tests.conftest import LogOutput
from tests.support.handlers import OURS, serve
from tests.support.scopes import without_ids
from tests.unit.http.test_events import closing

pytestmark = pytest.mark.urls(__name__)
BOTH = pytest.mark.parametrize("is_async", [False, True], ids=["wsgi", "asgi"])
log = get_logger(__name__)

kept: dict[str, HttpResponse] = {}


def again(request: HttpRequest) -> HttpResponse:
    """Give out one response to all."""
    return kept.setdefault("again", HttpResponse("kept", headers={"X-Own": "1"}))


def again_with_id(request: HttpRequest) -> HttpResponse:
    """The same, with an id of the view's own."""
    return kept.setdefault("with id", HttpResponse("kept", headers={"X-Request-ID": "of-the-view"}))


def id_the_second_time(request: HttpRequest) -> HttpResponse:
    response = again(request)
    if request.GET:
        response["X-Request-ID"] = "of-the-view"
    return response


def closing_view(request: HttpRequest) -> HttpResponse:
    """Bind something, and have something to close."""
    bind_contextvars(bound_by="the view")
    response = StreamingHttpResponse(pieces()) if "stream" in request.GET else HttpResponse("plain")
    response._resource_closers.append(_close)
    return response


async def aclosing_view(request: HttpRequest) -> HttpResponse:
    bind_contextvars(bound_by="the view")
    response = StreamingHttpResponse(apieces()) if "stream" in request.GET else HttpResponse("plain")
    response._resource_closers.append(_close)
    return response


def pieces() -> Iterator[str]:
    yield "a"
    yield "b"


async def apieces() -> AsyncIterator[str]:
    yield "a"
    yield "b"


def _close() -> None:
    log.info("closer", travels=outgoing_fields())


urlpatterns = [
    path("again/", again),
    path("again_with_id/", again_with_id),
    path("id_the_second_time/", id_the_second_time),
    path("api/teams/4/closing/", closing_view),
    path("api/teams/4/aclosing/", aclosing_view),
    path("file/", lambda request: FileResponse(open(__file__, "rb"))),  # noqa: PTH123, SIM115 - closed with the response
]


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    yield
    kept.clear()


class TestGivenOutAgain:
    """A view that keeps a response object and returns it to every request."""

    @BOTH
    def test_each_request_has_its_own_id(self, log_output: LogOutput, is_async: bool) -> None:
        """The header is the one that the request's lines have, and all else is the same."""
        answers = [serve("/again/", is_async=is_async, headers={"X-Request-ID": f"id-{number}"}) for number in range(3)]
        assert [answer.request_id for answer in answers] == ["id-0", "id-1", "id-2"]
        assert [line["request.id"] for line in log_output.events("request_completed")] == ["id-0", "id-1", "id-2"]
        assert answers[0].without("X-Request-ID") == answers[1].without("X-Request-ID")
        assert {answer.body for answer in answers} == {b"kept"}
        assert {type(answer.response) for answer in answers} == {HttpResponse}

    def test_at_the_same_time_too(self, log_output: LogOutput) -> None:
        """Twenty threads have the response in their hands at once, and each sends its own id."""
        response = HttpResponse("kept")
        together = threading.Barrier(20)

        def view(request: Any) -> HttpResponse:
            together.wait(30)
            return response

        middleware = TelemetryMiddleware(view)

        def ask(number: int) -> str:
            answer: Any = middleware(RequestFactory().get("/x/", headers={"X-Request-ID": f"id-{number}"}))
            together.wait(30)
            return str(answer["X-Request-ID"])

        with ThreadPoolExecutor(20) as pool:
            for _ in range(10):
                assert list(pool.map(ask, range(20))) == [f"id-{number}" for number in range(20)]

    @BOTH
    def test_an_id_that_the_view_set_stays(self, log_output: LogOutput, is_async: bool) -> None:
        """Every time, and also where the view sets it on the response that had ours before."""
        assert [serve("/again_with_id/", is_async=is_async).request_id for _ in range(3)] == ["of-the-view"] * 3
        given = {"X-Request-ID": "ours"}
        asked = ["/id_the_second_time/", "/id_the_second_time/?1", "/id_the_second_time/"]
        answers = [serve(path, is_async=is_async, headers=given).request_id for path in asked]
        assert answers == ["ours", "of-the-view", "of-the-view"]

    def test_a_response_that_was_pickled_since_has_the_id_of_its_request(self, log_output: LogOutput) -> None:
        """A view that keeps it in a cache of another kind after it was given out."""
        middleware = TelemetryMiddleware(again)
        middleware(RequestFactory().get("/x/", headers={"X-Request-ID": "first"}))
        kept["again"] = pickle.loads(pickle.dumps(kept["again"]))
        response: Any = middleware(RequestFactory().get("/x/", headers={"X-Request-ID": "second"}))
        assert response["X-Request-ID"] == "second"

    def test_the_closers_of_each_run_once(self, log_output: LogOutput) -> None:
        """What the view adds to the response runs as that request ends, and no other request's own closing does."""
        response = HttpResponse("kept")
        ran: list[int] = []
        answers = []

        def view(request: Any) -> HttpResponse:
            number = len(answers)
            response._resource_closers.append(lambda: ran.append(number))
            return response

        middleware = TelemetryMiddleware(view)
        for _ in range(3):
            request = RequestFactory().get("/x/")
            answer: Any = middleware(request)
            answer._resource_closers.append(request.close)
            answers.append(answer)
        for answer in reversed(answers):
            answer.close()
        assert sorted(ran) == [0, 1, 2]
        assert all(answer.closed for answer in answers)

    def test_a_streaming_response_keeps_lines_apart(self, log_output: LogOutput) -> None:
        """What is left of a body that two requests share is made in the scope of the request that asks for it."""

        def letters() -> Iterator[str]:
            for letter in "abc":
                log.info("letter", letter=letter)
                yield letter

        response = StreamingHttpResponse(letters())
        middleware = TelemetryMiddleware(lambda request: response)
        first, second = (
            middleware(RequestFactory().get("/x/", headers={"X-Request-ID": given})) for given in ("first", "second")
        )
        bodies: Any = [iter(first), iter(second)]  # type: ignore[arg-type]
        assert [next(bodies[0]), next(bodies[1]), next(bodies[0])] == [b"a", b"b", b"c"]
        assert [line["request.id"] for line in log_output.events("letter")] == ["first", "second", "first"]
        for answer in (first, second):
            answer.close()  # type: ignore[union-attr]
        assert [line["request.id"] for line in log_output.events("request_cancelled")] == ["first", "second"]


class Replace:
    """A middleware that puts another response in the place of the one that comes from inside."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        self.get_response(request)
        response = HttpResponse("another")
        response._resource_closers.append(_close)
        return response


@sync_and_async_middleware
def wrap(get_response: Any) -> Any:
    """A middleware that wraps the body of a stream."""

    def wrapped(response: Any) -> Any:
        if response.streaming and not response.is_async:
            response.streaming_content = (part for part in response.streaming_content)
        return response

    if asyncio.iscoroutinefunction(get_response):

        async def amiddleware(request: Any) -> Any:
            return wrapped(await get_response(request))

        return amiddleware
    return lambda request: wrapped(get_response(request))


@pytest.fixture
def finished() -> Iterator[Callable[..., None]]:
    """A receiver of ``request_finished`` that logs."""

    def receive(**_: Any) -> None:
        log.info("finished", travels=outgoing_fields())

    request_finished.connect(receive)
    yield receive
    request_finished.disconnect(receive)


IN_SCOPE = {"labels": ["team"], "team.id": 4, "bound_by": "the view"}


@pytest.mark.usefixtures("finished")
class TestClosing:
    """What runs as a response is closed belongs to its request."""

    @pytest.mark.parametrize("middleware", [[OURS], [f"{__name__}.wrap", OURS]], ids=["alone", "wrapped"])
    @pytest.mark.parametrize(
        ("is_async", "path"),
        [
            (False, "closing/"),
            (False, "aclosing/"),
            (False, "closing/?stream"),
            (True, "closing/"),
            (True, "aclosing/"),
            (True, "aclosing/?stream"),
        ],
    )
    def test_closers_and_receivers_have_the_context(
        self, log_output: LogOutput, is_async: bool, path: str, middleware: list[str]
    ) -> None:
        """The id, the labels, and what the view bound are on their lines and in what they publish; after it nothing is."""
        answer = serve_whole(f"/api/teams/4/{path}", is_async, middleware)
        for event in ("closer", "finished"):
            line = log_output.one(event)
            assert line.items() >= (IN_SCOPE | {"request.id": answer}).items()
            assert without_ids(line["travels"]) == IN_SCOPE | {"request.id": answer}
        assert closing(log_output.lines)["request.id"] == answer
        assert (get_contextvars(), current_scope()) == ({}, None)

    @BOTH
    def test_a_response_put_in_the_place_of_ours_is_closed_in_the_scope_too(
        self, log_output: LogOutput, is_async: bool
    ) -> None:
        """It is the same request."""
        serve_whole("/api/teams/4/closing/?stream", is_async, [f"{__name__}.Replace", OURS])
        given = log_output.one("finished")["request.id"]
        assert log_output.one("closer")["request.id"] == given == "given"

    def test_a_file_that_the_server_sends_itself_is_closed_in_the_scope(self, log_output: LogOutput) -> None:
        """With ``wsgi.file_wrapper`` the server closes the wrapper, and no response."""

        class FileWrapper:
            def __init__(self, file: Any, size: int) -> None:
                self.close = file.close

        environ = RequestFactory().get("/file/").environ | {"wsgi.file_wrapper": FileWrapper}
        response: Any = WSGIHandler()(environ, lambda status, headers: None)
        gc.collect()
        response.close()
        assert log_output.one("finished")["request.id"] == closing(log_output.lines)["request.id"]

    @pytest.mark.leaves_bound
    def test_what_a_receiver_binds_is_gone_after(self, log_output: LogOutput) -> None:
        """As with all that a scope binds; what the thread had bound is there again."""

        def receive(**_: Any) -> None:
            bind_contextvars(left="behind", service="changed")

        request_finished.connect(receive)
        bind_contextvars(service="mine")
        try:
            serve_wsgi("/again/")
        finally:
            request_finished.disconnect(receive)
        assert get_contextvars() == {"service": "mine"}

    def test_a_receiver_that_raises_does_so_and_leaves_nothing(self, log_output: LogOutput) -> None:
        """The server gets the exception as without us."""

        def receive(**_: Any) -> None:
            raise RuntimeError("not finished")

        request_finished.connect(receive)
        try:
            with pytest.raises(RuntimeError, match="not finished"):
                serve_wsgi("/again/")
        finally:
            request_finished.disconnect(receive)
        assert (get_contextvars(), current_scope()) == ({}, None)

    def test_a_request_inside_a_request_is_finished_as_itself(self, log_output: LogOutput) -> None:
        """A view that serves another request in-process: the lines of the inner one's end are the inner one's."""

        def view(request: Any) -> HttpResponse:
            serve_wsgi("/again/")
            log.info("back")
            return HttpResponse()

        TelemetryMiddleware(view)(RequestFactory().get("/x/", headers={"X-Request-ID": "outer"}))
        assert log_output.one("finished")["request.id"] == "given"
        assert log_output.one("back")["request.id"] == "outer"

    def test_a_response_that_never_met_us_is_closed_as_ever(self, log_output: LogOutput) -> None:
        """Without our middleware there is nothing to be inside of; a kept response's last request is not asked either."""
        serve("/again/")
        log_output.clear()
        serve("/again/", middleware=[])
        assert all("request.id" not in line for line in log_output.events("finished"))

    def test_a_response_is_freed_without_the_garbage_collector(self, log_output: LogOutput) -> None:
        """We add no cycle to it, closed or not."""
        gc.collect()
        gc.disable()
        try:
            for is_closed in (True, False):
                response: Any = TelemetryMiddleware(lambda request: HttpResponse())(RequestFactory().get("/x/"))
                if is_closed:
                    response.close()
                gone = weakref.ref(response)
                del response
                assert gone() is None
        finally:
            gc.enable()


def serve_whole(path: str, is_async: bool, middleware: list[str]) -> str:
    """Serve a request as a server does, and return its ``X-Request-ID``, or that of an inner response that was replaced."""
    with override_settings(MIDDLEWARE=middleware):
        return asyncio.run(serve_asgi(path)) if is_async else serve_wsgi(path)


def serve_wsgi(path: str) -> str:
    got: dict[str, str] = {}
    environ = RequestFactory().get(path, headers={"X-Request-ID": "given"}).environ
    response: Any = WSGIHandler()(environ, lambda status, headers: got.update(headers))
    try:
        list(response)
    finally:
        response.close()
    return got.get("X-Request-ID", "")


async def serve_asgi(path: str) -> str:
    sent: list[Any] = []
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"host", b"testserver"), (b"x-request-id", b"given")],
    }
    asked = iter([{"type": "http.request"}])

    async def receive() -> Any:
        for message in asked:
            return message
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await ASGIHandler()(scope, receive, send)
    assert (get_contextvars(), current_scope()) == ({}, None)
    return dict(sent[0]["headers"]).get(b"X-Request-ID", b"").decode()
