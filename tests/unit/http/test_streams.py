"""Bodies that are made piece by piece: their lines, their end, and that nothing else about them changes."""

import asyncio
import gc
import logging
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.test import AsyncRequestFactory, RequestFactory
from django.utils.decorators import sync_and_async_middleware
from structlog.contextvars import get_contextvars

from dtx_telemetry import context
from dtx_telemetry.middleware import TelemetryMiddleware
from tests.conftest import LogOutput
from tests.support.handlers import OURS, URLS, request, serve
from tests.unit.http.test_events import closing, path_of, tracebacks

pytestmark = URLS
BOTH = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


def names(log_output: LogOutput) -> list[str]:
    loggers = {"tests.project.http_views", "dtx_telemetry.middleware", "letters"}
    return [line["event"] for line in log_output.lines if line["logger"] in loggers]


def answered(response: Any) -> Any:
    """Return *response* as the middleware leaves it."""
    return TelemetryMiddleware(lambda request: response)(RequestFactory().get("/api/teams/4/"))


@BOTH
def test_lines_of_the_body_bear_the_context_and_the_end_comes_with_its_end(log_output: LogOutput, is_async: bool) -> None:
    """A stream's lines have the request's id; its one closing event is its last line."""
    answer = serve(path_of("stream", is_async))
    assert answer.body == b"0;1;2;"
    assert names(log_output) == ["piece", "piece", "piece", "pieces_closed", "request_completed"]
    assert {line["request.id"] for line in log_output.events("piece")} == {answer.request_id}
    assert log_output.one("pieces_closed")["request.id"] == answer.request_id
    assert closing(log_output.lines)["http.status_code"] == 200


@BOTH
def test_what_the_body_binds_holds_for_its_next_piece_only(log_output: LogOutput, is_async: bool) -> None:
    """A key bound in one piece is on the lines of the next, and gone in the end."""
    serve(path_of("stream", is_async))
    assert [line.get("last") for line in log_output.events("piece")] == [None, 0, 1]
    assert closing(log_output.lines)["last"] == 2
    assert get_contextvars() == {}


@BOTH
def test_nothing_is_closed_before_the_body_is(log_output: LogOutput, is_async: bool) -> None:
    """While nobody has asked for the body, the request has not ended."""
    response = request(path_of("stream", is_async))
    assert names(log_output) == []
    response.close()


def test_outside_of_its_pieces_nothing_of_the_request_is_bound(log_output: LogOutput) -> None:
    """Between two pieces the server's own context is as it was, whatever was bound there meanwhile."""
    response = request("/http/stream/")
    with context.bind_fields(server="mine"):
        for _ in response:
            assert get_contextvars() == {"server": "mine"}
    response.close()
    assert all("server" not in line for line in log_output.lines)


def test_the_duration_is_that_of_the_whole_body(log_output: LogOutput) -> None:
    """The time until the last piece counts."""
    ticking = StreamingHttpResponse(iter(["a", "b"]))
    response = answered(ticking)
    start = context.Scope(None, None, {}, {}, {})
    body = iter(response)
    next(body)
    while start.duration_ms < 30:
        pass
    list(body)
    response.close()
    assert closing(log_output.lines)["duration_ms"] >= 30


@BOTH
def test_an_exception_in_the_body_is_a_failure_with_the_status_that_was_sent(log_output: LogOutput, is_async: bool) -> None:
    """The exception goes on to the server, after one event with its traceback."""
    with pytest.raises(RuntimeError, match="no more pieces"):
        serve(path_of("stream", is_async) + "?fail")
    line = closing(log_output.lines)
    assert (line["event"], line["http.status_code"], line["error"]) == ("request_failed", 200, "RuntimeError: no more pieces")
    assert tracebacks(log_output.lines) == [line]
    assert get_contextvars() == {}


def test_a_body_closed_before_its_end_is_cancelled(log_output: LogOutput) -> None:
    """What its generator logs as it is closed still bears the id."""
    response = request("/http/stream/")
    next(iter(response))
    response.close()
    assert names(log_output) == ["piece", "pieces_closed", "request_cancelled"]
    assert {line["request.id"] for line in log_output.lines} == {response["X-Request-ID"]}
    assert get_contextvars() == {}


@BOTH
def test_a_body_that_nobody_asks_for_is_cancelled(log_output: LogOutput, is_async: bool) -> None:
    """Closed unread."""
    request(path_of("stream", is_async)).close()
    assert names(log_output) == ["request_cancelled"]


@BOTH
def test_the_body_of_head_is_not_wanted(log_output: LogOutput, is_async: bool) -> None:
    """A HEAD request that is closed unread is complete."""
    answer = serve(path_of("stream", is_async), method="HEAD")
    line = closing(log_output.lines)
    assert (line["event"], line["http.method"], line["http.status_code"]) == ("request_completed", "HEAD", 200)
    assert line["request.id"] == answer.request_id


class Replace:
    """A middleware that puts another response in the place of the one that comes from inside."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        self.get_response(request)
        gc.collect()
        return HttpResponse("another")


def test_a_body_that_an_outer_middleware_throws_away_ends_too(log_output: LogOutput) -> None:
    """Nobody closes such a response; its request has its event when it is collected."""
    assert serve("/http/stream/", middleware=[f"{__name__}.Replace", OURS]).body == b"another"
    assert closing(log_output.lines)["event"] == "request_cancelled"
    assert get_contextvars() == {}


@sync_and_async_middleware
def shouting(get_response: Any) -> Any:
    """A middleware that wraps the body, as GZipMiddleware does."""

    def shout(response: Any) -> Any:
        response.streaming_content = (part.upper() + b"!" for part in response.streaming_content)
        return response

    return lambda request: shout(get_response(request))


@pytest.mark.parametrize("order", [[OURS, f"{__name__}.shouting"], [f"{__name__}.shouting", OURS]])
def test_a_middleware_that_wraps_the_body_gets_along(log_output: LogOutput, order: list[str]) -> None:
    """Inside or outside of ours, the body is wrapped and its end is the request's."""
    assert serve("/http/stream/", middleware=order).body == b"0;!1;!2;!"
    assert names(log_output)[-1] == "request_completed"


def test_the_response_stays_what_it_was(log_output: LogOutput) -> None:
    """Its class and its attributes are as they were, but for the iterator and its closing."""
    response = StreamingHttpResponse(iter(["a"]), headers={"X-Own": "1"})
    before = dict(vars(response))
    after = vars(answered(response))
    assert type(response) is StreamingHttpResponse
    assert {name for name in after if after[name] is not before[name]} == {"_iterator"}
    assert response.streaming is True
    response.close()


@BOTH
@pytest.mark.parametrize("name", ["file", "real_file"])
def test_a_file_is_complete_when_it_was_read(log_output: LogOutput, is_async: bool, name: str) -> None:
    """A FileResponse stays one, and gives the same bytes as without us."""
    path = f"/http/{name}/"
    ours, bare = serve(path, is_async=is_async), serve(path, is_async=is_async, middleware=[])
    assert type(ours.response) is FileResponse
    assert ours.without("X-Request-ID") == bare
    assert closing(log_output.lines)["event"] == "request_completed"


def test_a_file_that_the_server_sends_itself_is_complete(log_output: LogOutput) -> None:
    """With ``wsgi.file_wrapper`` the body is never asked for here: closing the wrapper ends the request."""
    wrapped = []

    class FileWrapper:
        def __init__(self, file: Any, size: int) -> None:
            wrapped.append(file)
            self.close = file.close

    environ = RequestFactory().get("/http/real_file/").environ | {"wsgi.file_wrapper": FileWrapper}
    response = WSGIHandler()(environ, lambda status, headers: None)
    assert type(response) is FileWrapper
    assert names(log_output) == []
    response.close()
    assert closing(log_output.lines)["event"] == "request_completed"
    assert wrapped[0].closed


def test_an_asynchronous_body_under_wsgi_and_the_other_way_round(log_output: LogOutput) -> None:
    """Django consumes the wrong kind of body with a warning; lines and event are there as with the right kind."""

    async def letters() -> AsyncIterator[str]:
        for letter in "abc":
            logging.getLogger("letters").info(letter)
            yield letter

    response = answered(StreamingHttpResponse(letters()))
    with pytest.warns(Warning, match="must consume asynchronous"):
        assert list(response) == [b"a", b"b", b"c"]
    response.close()
    assert names(log_output) == ["a", "b", "c", "request_completed"]
    assert {line["team.id"] for line in log_output.lines} == {4}


@BOTH
def test_a_body_closed_twice_or_read_after_its_end_has_one_event(log_output: LogOutput, is_async: bool) -> None:
    """Nothing that is done to it afterwards logs again."""
    response = serve(path_of("stream", is_async)).response
    response.close()
    response.close()
    assert len(log_output.events("request_completed")) == 1
    assert get_contextvars() == {}


def block(number: int) -> Iterator[str]:
    """Bind a field around a piece that is yielded."""
    log = logging.getLogger("letters")
    with context.bind_fields(step=number):
        log.info("before")
        yield f"{number};"
        log.info("after")
    log.info("outside")


def steps() -> Iterator[str]:
    for number in (1, 2):
        yield from block(number)


async def asteps() -> AsyncIterator[str]:
    for number in (1, 2):
        for part in block(number):
            yield part


def watched(is_async: bool) -> Any:
    return answered(StreamingHttpResponse(asteps() if is_async else steps()))


async def next_of(body: Any, is_async: bool) -> bytes:
    return (await anext(body)) if is_async else next(body)  # type: ignore[no-any-return]


@BOTH
async def test_a_field_bound_around_a_yield_holds_for_its_block(log_output: LogOutput, is_async: bool) -> None:
    """It is on the lines of the block, however many pieces that takes, and on no later one."""
    response = watched(is_async)
    body = aiter(response) if is_async else iter(response)
    assert [await next_of(body, is_async), await next_of(body, is_async)] == [b"1;", b"2;"]
    assert get_contextvars() == {}
    assert ([part async for part in body] if is_async else list(body)) == []
    response.close()
    expected = [("before", 1), ("after", 1), ("outside", None), ("before", 2), ("after", 2), ("outside", None)]
    lines = [line for line in log_output.lines if line["logger"] == "letters"]
    assert [(line["event"], line.get("step")) for line in lines] == expected
    assert {line["request.id"] for line in lines} == {response["X-Request-ID"]}
    assert "step" not in closing(log_output.lines)
    assert (get_contextvars(), context.current_scope()) == ({}, None)


@BOTH
async def test_a_field_bound_around_a_yield_ends_with_a_body_left_half_way(log_output: LogOutput, is_async: bool) -> None:
    """The generator ends where it stood, in its block; the closing event has nothing of it."""

    def left() -> Iterator[str]:
        with context.bind_fields(step=1):
            try:
                yield "a"
                yield "b"
            finally:
                logging.getLogger("letters").info("letters_closed")

    async def aleft() -> AsyncIterator[str]:
        with context.bind_fields(step=1):
            try:
                yield "a"
                yield "b"
            finally:
                logging.getLogger("letters").info("letters_closed")

    response = answered(StreamingHttpResponse(aleft() if is_async else left()))
    assert await next_of(response._iterator, is_async) == "a"
    response.close()
    await eventually(lambda: log_output.events("letters_closed"))
    assert log_output.one("letters_closed")["step"] == 1
    line = closing(log_output.lines)
    assert line["event"] == "request_cancelled"
    assert "step" not in line
    assert {line["request.id"] for line in log_output.lines} == {response["X-Request-ID"]}
    assert (get_contextvars(), context.current_scope()) == ({}, None)


@BOTH
async def test_bodies_that_are_read_by_turns_keep_their_own(log_output: LogOutput, is_async: bool) -> None:
    """Two requests' pieces made by turns in one thread, each with a block open in between: no line has the other's fields."""
    responses = [watched(is_async), watched(is_async)]
    bodies = [aiter(response) if is_async else iter(response) for response in responses]
    for _ in range(2):
        for body in bodies:
            await next_of(body, is_async)
            assert (get_contextvars(), context.current_scope()) == ({}, None)
    for response in responses:
        response.close()
    for response in responses:
        lines = [line for line in log_output.lines if line["request.id"] == response["X-Request-ID"]]
        assert [(line["event"], line.get("step")) for line in lines] == [
            ("before", 1),
            ("after", 1),
            ("outside", None),
            ("before", 2),
            ("request_cancelled", None),
        ]


class OddIterator:
    """An iterator that goes on after its end, and has no close."""

    def __init__(self) -> None:
        self.calls = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.calls += 1
        if self.calls % 2 == 0:
            raise StopIteration
        return str(self.calls)


def test_an_odd_iterator_is_asked_as_often_as_without_us(log_output: LogOutput) -> None:
    """We ask for no piece more than the server does."""
    iterator = OddIterator()
    response = answered(StreamingHttpResponse(iterator))
    assert list(response) == [b"1"]
    assert list(response) == [b"3"]
    assert iterator.calls == 4
    response.close()
    assert len(names(log_output)) == 1


def asgi_request(path: str) -> dict[str, Any]:
    headers = [(b"host", b"testserver")]
    return {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers, "asgi": {"version": "3.0"}}


async def serve_asgi(path: str, leave: Callable[[list[Any]], bool]) -> list[Any]:
    """Serve *path* by Django's ASGI handler to a client that leaves once *leave* says so of what it got."""
    sent: list[Any] = []
    asked = iter([{"type": "http.request"}])

    async def receive() -> Any:
        for message in asked:
            return message
        await eventually(lambda: leave(sent))
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await ASGIHandler()(asgi_request(path), receive, send)
    return sent


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_client_that_leaves_a_stream_cancels_its_request(log_output: LogOutput) -> None:
    """One event; every line of the body bears the id, the last words of its generator too."""
    sent = await serve_asgi("/http/async/slow_stream/", lambda sent: len(sent) > 3)
    sent_id = dict(sent[0]["headers"])[b"X-Request-ID"].decode()
    await eventually(lambda: log_output.events("ticks_closed"))
    line = closing(log_output.lines)
    assert (line["event"], line["level"]) == ("request_cancelled", "warning")
    assert {line["request.id"] for line in log_output.lines} == {sent_id}
    assert get_contextvars() == {}


async def test_an_asynchronous_generator_that_is_dropped_ends_in_the_scope(log_output: LogOutput) -> None:
    """A response that is closed between two pieces: the event loop closes its generator, and what that logs bears the id."""

    async def letters() -> AsyncIterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            logging.getLogger("letters").info("letters_closed")

    response = answered(StreamingHttpResponse(letters()))
    await anext(response._iterator)
    await asyncio.to_thread(response.close)
    await eventually(lambda: log_output.events("letters_closed"))
    assert log_output.one("letters_closed")["request.id"] == closing(log_output.lines)["request.id"] == response["X-Request-ID"]
    assert closing(log_output.lines)["event"] == "request_cancelled"
    assert get_contextvars() == {}


async def test_a_client_that_leaves_while_the_view_works_cancels_its_request(log_output: LogOutput) -> None:
    """One event with the view's id, and no failure."""
    assert await serve_asgi("/http/async/slow/", lambda sent: bool(log_output.events("waiting"))) == []
    line = closing(log_output.lines)
    assert (line["event"], line["request.id"]) == ("request_cancelled", log_output.one("waiting")["request.id"])
    assert not tracebacks(log_output.lines)
    assert get_contextvars() == {}


@BOTH
async def test_what_a_body_logs_that_is_thrown_away_bears_the_context(log_output: LogOutput, is_async: bool) -> None:
    """Its generator ends in the request's scope, before the request's event."""

    def letters() -> Iterator[str]:
        try:
            yield "a"
        finally:
            logging.getLogger("letters").info("letters_closed")

    async def aletters() -> AsyncIterator[str]:
        try:
            yield "a"
        finally:
            logging.getLogger("letters").info("letters_closed")

    response = answered(StreamingHttpResponse(aletters() if is_async else letters()))
    sent_id = response["X-Request-ID"]
    await next_of(response._iterator, is_async)
    del response
    gc.collect()
    await eventually(lambda: log_output.events("letters_closed"))
    assert closing(log_output.lines)["event"] == "request_cancelled"
    assert {line["request.id"] for line in log_output.lines} == {sent_id}


@sync_and_async_middleware
def raise_outside(get_response: Any) -> Any:
    """A middleware that raises on the way out, as it holds the response."""

    async def araising(request: Any) -> Any:
        response = await get_response(request)
        raise RuntimeError(f"no way out for {response.status_code}")

    def raising(request: Any) -> Any:
        response = get_response(request)
        raise RuntimeError(f"no way out for {response.status_code}")

    return araising if asyncio.iscoroutinefunction(get_response) else raising


@BOTH
def test_a_middleware_outside_that_raises_ends_the_request_of_a_body(log_output: LogOutput, is_async: bool) -> None:
    """At once: the exception's traceback holds the body, which so is not collected, and nobody closes it."""
    gc.disable()
    try:
        chain = [f"{__name__}.raise_outside", OURS]
        answer = request(path_of("stream", is_async), is_async=is_async, middleware=chain)
        assert answer.status_code == 500
        line = closing(log_output.lines)
        assert (line["event"], line["http.status_code"]) == ("request_failed", 500)
        assert line["error"] == "RuntimeError: no way out for 200"
        assert tracebacks(log_output.lines) == [line]
    finally:
        gc.enable()


class TestTheStatusThatWasSent:
    """A body that fails bears the status that its client got."""

    @pytest.mark.parametrize(("pieces", "status"), [(0, 500), (1, 200)])
    def test_over_wsgi_it_goes_with_the_first_piece(self, log_output: LogOutput, pieces: int, status: int) -> None:
        """Before it the server can still answer 500, and does."""

        def body() -> Iterator[str]:
            yield from ["piece"] * pieces
            raise RuntimeError("no more")

        response = answered(StreamingHttpResponse(body()))
        with pytest.raises(RuntimeError):
            list(response)
        assert log_output.one("request_failed")["http.status_code"] == status

    async def test_over_asgi_it_goes_first(self, log_output: LogOutput) -> None:
        """Before any piece is asked for."""

        async def body() -> AsyncIterator[str]:
            raise RuntimeError("no piece")
            yield ""

        async def view(request: Any) -> Any:
            return StreamingHttpResponse(body())

        response = await TelemetryMiddleware(view)(AsyncRequestFactory().get("/x/"))
        with pytest.raises(RuntimeError):
            await anext(aiter(response))
        assert log_output.one("request_failed")["http.status_code"] == 200


class TestWhatFailsOutsideOfTheBody:
    """Django's encoding of a piece, a middleware outside of ours that wraps the body: the request has failed there too."""

    @staticmethod
    def response(body: Any, pieces: list[str]) -> Any:
        return answered(StreamingHttpResponse(body(pieces), content_type="text/csv; charset=latin-1"))

    @staticmethod
    def letters(pieces: list[str]) -> Iterator[str]:
        yield from pieces

    @staticmethod
    async def aletters(pieces: list[str]) -> AsyncIterator[str]:
        for piece in pieces:
            yield piece

    @pytest.mark.parametrize(("pieces", "status"), [(["€"], 500), (["a", "€"], 200)])
    def test_a_piece_that_cannot_be_encoded(self, log_output: LogOutput, pieces: list[str], status: int) -> None:
        """Nobody went away: the event is no cancellation, and has the traceback."""
        response = self.response(self.letters, pieces)
        with pytest.raises(UnicodeEncodeError):
            list(response)
        response.close()
        line = closing(log_output.lines)
        assert (line["event"], line["http.status_code"]) == ("request_failed", status)
        assert line["error"].startswith("UnicodeEncodeError: ")
        assert tracebacks(log_output.lines) == [line]
        assert line["request.id"] == response["X-Request-ID"]
        assert get_contextvars() == {}

    @pytest.mark.parametrize("body", ["letters", "aletters"])
    async def test_over_asgi_where_nobody_closes_the_response(self, log_output: LogOutput, body: str) -> None:
        """The event comes with the exception, and not when the response is collected."""

        async def view(request: Any) -> Any:
            return StreamingHttpResponse(getattr(self, body)(["a", "€"]), content_type="text/csv; charset=latin-1")

        response = await TelemetryMiddleware(view)(AsyncRequestFactory().get("/x/"))
        with pytest.raises(UnicodeEncodeError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            [piece async for piece in response]
        line = closing(log_output.lines)
        assert (line["event"], line["http.status_code"]) == ("request_failed", 200)
        assert line["request.id"] == response["X-Request-ID"]
        assert get_contextvars() == {}

    def test_an_asynchronous_body_over_wsgi(self, log_output: LogOutput) -> None:
        """All of its pieces are made before the first is encoded: by then its end has come, and its event."""
        response = self.response(self.aletters, ["€"])
        with pytest.raises(UnicodeEncodeError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            list(response)
        response.close()
        assert closing(log_output.lines)["request.id"] == response["X-Request-ID"]

    def test_a_middleware_that_wraps_the_body(self, log_output: LogOutput) -> None:
        """Its own exception is the request's end."""

        def wrap(pieces: Any) -> Iterator[bytes]:
            yield next(pieces)
            raise RuntimeError("cannot wrap")

        response = self.response(self.letters, ["a", "b"])
        response.streaming_content = wrap(response.streaming_content)
        with pytest.raises(RuntimeError):
            list(response)
        line = closing(log_output.lines)
        assert (line["event"], line["http.status_code"], line["error"]) == ("request_failed", 200, "RuntimeError: cannot wrap")


async def test_what_django_warns_about_a_synchronous_body_has_the_requests_id(log_output: LogOutput) -> None:
    """It warns between the pieces, where no body is asked."""

    async def view(request: Any) -> Any:
        return StreamingHttpResponse(iter(["a", "b"]))

    response = await TelemetryMiddleware(view)(AsyncRequestFactory().get("/x/", headers={"X-Request-ID": "warned"}))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)  # pytest has put its own in the place of logging's
        logging.captureWarnings(True)
        assert [piece async for piece in response] == [b"a", b"b"]
    response.close()
    (line,) = [line for line in log_output.lines if line["logger"] == "py.warnings"]
    assert line["request.id"] == "warned"
    assert log_output.one("request_completed")["http.status_code"] == 200
    assert get_contextvars() == {}


def test_a_body_may_be_closed_by_another_thread_in_the_midst_of_a_piece(log_output: LogOutput) -> None:
    """As without us: the response is closed, Django hears of it, and the piece comes to its end."""
    begun, go_on, finished = threading.Event(), threading.Event(), []

    class Pieces:
        def __iter__(self) -> "Pieces":
            return self

        def __next__(self) -> bytes:
            begun.set()
            assert go_on.wait(60)
            return b"a"

    def finish(**_: Any) -> None:
        finished.append(context.get_request_id())

    response = answered(StreamingHttpResponse(Pieces()))
    pieces: list[bytes] = []
    thread = threading.Thread(target=lambda: pieces.append(next(iter(response))))
    request_finished.connect(finish)
    try:
        thread.start()
        assert begun.wait(60)
        response.close()
    finally:
        request_finished.disconnect(finish)
        go_on.set()
        thread.join()
    assert finished == [response["X-Request-ID"]]
    assert (response.closed, pieces) == (True, [b"a"])
    assert names(log_output) == ["request_cancelled"]
