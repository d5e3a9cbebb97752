"""HTTP consumers: a decorated one has a request's scope, header and events."""

import asyncio

import pytest
from channels.generic.http import AsyncHttpConsumer
from channels.layers import get_channel_layer
from structlog.contextvars import bind_contextvars, get_contextvars

from dtx_telemetry import context, events, get_logger, telemetry_consumer
from tests.support.asgi import calling, scope_of

log = get_logger("app")
ENDS = {"request_completed", "request_failed", "request_cancelled"}


class User:
    pk = 42
    is_authenticated = True


@telemetry_consumer
class Answers(AsyncHttpConsumer):
    async def handle(self, body):
        log.info("handled", size=len(body))
        status = int(body) if body else 200
        await self.send_response(status, b"ok", headers=[(b"content-type", b"text/plain")])


@telemetry_consumer
class Streams(AsyncHttpConsumer):
    """Answers piece by piece, as others tell it to."""

    async def http_request(self, message):
        await self.send_headers()
        await self.send_body(self.channel_name.encode(), more_body=True)

    async def told(self, message):
        log.info("told")
        await self.send_body(b"piece", more_body=True)

    async def fail(self, message):
        raise RuntimeError("no mana")


def request(path="/api/tournaments/5/", **more):
    return scope_of(path, kind="http", method="GET", **more)


async def answer(consumer, scope, body=b""):
    async with calling(consumer.as_asgi(), scope) as call:
        await call.give("http.request", body=body)
        await call.end()
    return call.sent


def the_end(log_output):
    """Return the only closing event."""
    ends = [line for line in log_output.lines if line["event"] in ENDS]
    assert len(ends) == 1, ends
    return ends[0]


async def test_a_request_is_completed(log_output):
    """The same fields as a view's, on every line of it; the id is in the response."""
    scope = request("/api/tournaments/5/", user=User(), headers=[("X-Request-ID", "mine")])

    start, body = await answer(Answers, scope)

    assert start["headers"] == [(b"content-type", b"text/plain"), (b"x-request-id", b"mine")]
    assert body["body"] == b"ok"
    handled, end = log_output.lines
    for line in (handled, end):
        assert (line["request.id"], line["user.id"], line["labels"], line["tournament.id"]) == ("mine", 42, ["tournament"], 5)
        assert "ws.conn_id" not in line
    assert end["event"] == "request_completed"
    assert end["level"] == "info"
    assert (end["http.method"], end["http.route"], end["http.status_code"]) == ("GET", "/api/tournaments/5/", 200)
    assert end["duration_ms"] > 0


@pytest.mark.parametrize(("status", "level"), [(204, "info"), (302, "info"), (404, "warning"), (503, "error")])
async def test_the_level_is_the_statuss(log_output, status, level):
    """Info below 400, warning below 500, then error."""
    await answer(Answers, request(), str(status).encode())

    assert (the_end(log_output)["http.status_code"], the_end(log_output)["level"]) == (status, level)


async def test_a_bad_id_is_replaced_in_the_response(log_output):
    """Never echoed."""
    start, _ = await answer(Answers, request(headers=[("X-Request-ID", "a b")]))

    new = dict(start["headers"])[b"x-request-id"].decode()
    assert context.valid_request_id(new)
    assert the_end(log_output)["request.id"] == new


async def test_an_id_that_the_consumer_sends_itself_is_left(log_output):
    """As the middleware leaves a view's."""

    @telemetry_consumer
    class Own(AsyncHttpConsumer):
        async def handle(self, body):
            await self.send_response(200, b"", headers=[(b"X-Request-Id", b"its own")])

    start, _ = await answer(Own, request())

    assert start["headers"] == [(b"X-Request-Id", b"its own")]


async def test_an_exception_is_one_failure(log_output):
    """Before the headers a 500, after them the status that was sent; the exception goes on, its traceback is in the line."""

    @telemetry_consumer
    class Fails(AsyncHttpConsumer):
        async def handle(self, body):
            if body:
                await self.send_headers(status=202)
                await self.send_body(b"piece", more_body=True)
            log.exception("seen", exc_info=RuntimeError("other"))
            raise RuntimeError("no mana")

    for body, status in ((b"", 500), (b"x", 202)):
        log_output.clear()
        with pytest.raises(RuntimeError, match="no mana"):
            await answer(Fails, request(), body)
        end = the_end(log_output)
        assert (end["event"], end["level"], end["http.status_code"]) == ("request_failed", "error", status)
        assert end["error"] == "RuntimeError: no mana"
        assert end["exception"].rstrip().endswith("RuntimeError: no mana")


async def test_a_client_that_leaves_is_a_cancelled_request(log_output):
    """In the middle of the body: by a message, by cancelling, or as the next piece is sent."""
    for how in ("disconnect", "cancel"):
        log_output.clear()
        async with calling(Streams.as_asgi(), request()) as call:
            await call.give("http.request")
            await call.next("http.response.start")
            await call.next("http.response.body")
            if how == "disconnect":
                await call.give("http.disconnect")
                await call.end()
            else:
                call.task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call.task
        end = the_end(log_output)
        assert (end["event"], end["level"]) == ("request_cancelled", "warning")
        assert "http.status_code" not in end


async def test_a_client_that_leaves_before_any_answer_is_a_cancelled_request(log_output):
    """Nobody was there to get the server's 500."""
    async with calling(Answers.as_asgi(), request()) as call:
        await call.give("http.request", body=b"", more_body=True)
        await call.give("http.disconnect")
        await call.end()

    assert the_end(log_output)["event"] == "request_cancelled"


async def test_a_client_that_is_gone_as_it_is_sent_to_is_a_cancelled_request(log_output):
    """The server's OSError goes on and is no failure."""

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        await Answers.as_asgi()(request(), receive, send)

    assert the_end(log_output)["event"] == "request_cancelled"


async def test_a_client_that_leaves_after_the_whole_response_changes_nothing(log_output):
    """It got its answer."""

    @telemetry_consumer
    class Lingers(AsyncHttpConsumer):
        async def http_request(self, message):
            await self.send_response(200, b"ok")

    async with calling(Lingers.as_asgi(), request()) as call:
        await call.give("http.request")
        await call.next("http.response.start")
        await call.next("http.response.body")
        await call.give("http.disconnect")
        await call.end()

    assert (the_end(log_output)["event"], the_end(log_output)["http.status_code"]) == ("request_completed", 200)


async def test_a_consumer_without_a_word_is_a_500(log_output):
    """The server answers for it."""

    @telemetry_consumer
    class Silent(AsyncHttpConsumer):
        async def handle(self, body):
            """Forget to answer."""

    assert await answer(Silent, request()) == []
    assert (the_end(log_output)["event"], the_end(log_output)["http.status_code"]) == ("request_completed", 500)


async def test_messages_of_a_channel_layer(log_output):
    """A consumer that streams what others tell it: each line under its sender's ids, the closing event under its own."""
    async with calling(Streams.as_asgi(), request(user=User(), headers=[("X-Request-ID", "mine")])) as call:
        await call.give("http.request")
        await call.next("http.response.start")
        channel = (await call.next("http.response.body"))["body"].decode()
        scope = context.enter_root(events.OPERATION, {"request.id": "sender"})
        await get_channel_layer().send(channel, {"type": "told"})
        await get_channel_layer().send(channel, {"type": "fail"})
        scope.leave()
        with pytest.raises(RuntimeError):
            await call.end()

    told, end = log_output.one("told"), the_end(log_output)
    assert (told["request.id"], "user.id" in told, told["labels"]) == ("sender", False, ["tournament"])
    assert (end["event"], end["request.id"], end["user.id"]) == ("request_failed", "mine", 42)


async def test_an_excluded_path_has_no_closing_event(log_output, settings):
    """As with the middleware, but the lines in it bear its id."""
    settings.DTX_TELEMETRY = {"EXCLUDE_PATHS": ["/health/"]}

    await answer(Answers, request("/health/"))

    assert [line["event"] for line in log_output.lines] == ["handled"]
    assert log_output.one("handled")["request.id"]


async def test_stable_names(log_output, settings, monkeypatch):
    """``OTEL_SEMCONV_STABILITY_OPT_IN`` holds here too."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
    settings.DTX_TELEMETRY = {}

    await answer(Answers, request())

    end = the_end(log_output)
    assert (end["http.request.method"], end["url.path"], end["http.response.status_code"]) == (
        "GET",
        "/api/tournaments/5/",
        200,
    )


async def test_the_next_request_of_a_connection_is_not_inside_this_one(log_output):
    """uvicorn reads on in the context of the call of ``receive`` or ``send`` that let it, and begins the next request there."""
    begun = []

    async def receive():
        begun.append((get_contextvars(), context.current_scope()))
        return {"type": "http.request"}

    async def send(message):
        begun.append((get_contextvars(), context.current_scope()))

    bind_contextvars(service="drafts")
    await Answers.as_asgi()(request(), receive, send)

    assert len(begun) >= 3
    assert all(each == ({"service": "drafts"}, None) for each in begun), begun
    assert the_end(log_output)["service"] == "drafts"


async def test_the_servers_context_is_as_it_was(log_output):
    """After the request what was bound is bound."""
    bind_contextvars(service="drafts")

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        pass

    await Answers.as_asgi()(request(), receive, send)

    assert get_contextvars() == {"service": "drafts"}
    assert the_end(log_output)["service"] == "drafts"
