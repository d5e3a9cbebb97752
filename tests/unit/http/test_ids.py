"""The request's id: in, out, on, and never what it must not be."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from structlog.contextvars import bind_contextvars, get_contextvars

import dtx_telemetry
from dtx_telemetry.middleware import TelemetryMiddleware
from tests.conftest import LogOutput
from tests.support.handlers import URLS, serve
from tests.support.scopes import without_ids

pytestmark = URLS
BOTH = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
MADE = re.compile(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}")


def path_of(name: str, is_async: bool) -> str:
    return f"/http/async/{name}/" if is_async else f"/http/{name}/"


@BOTH
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
@pytest.mark.parametrize("name", ["ok", "missing", "boom", "redirect", "stream", "not_modified", "teapot"])
def test_every_response_has_the_id(log_output: LogOutput, is_async: bool, name: str, method: str) -> None:
    """Whatever the status, the kind and the method; it is the one on the lines."""
    answer = serve(path_of(name, is_async), method=method, headers={"X-Request-ID": "from-outside"})
    assert answer.request_id == "from-outside"
    assert {line["request.id"] for line in log_output.lines if line["logger"].startswith("dtx")} == {"from-outside"}


def test_an_id_is_made_where_none_came(log_output: LogOutput) -> None:
    """32 hexadecimal digits, another one each time."""
    ids = {serve("/http/ok/").request_id for _ in range(20)}
    assert len(ids) == 20
    assert all(MADE.fullmatch(made) for made in ids)


@pytest.mark.parametrize(
    "given",
    [
        "a",
        "0123456789abcdef0123456789abcdef",
        "01234567-89ab-4def-8123-456789abcdef",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "Root=1-67891233-abcdef012345678912345678",
        "a" * 128,
        "AZaz09._-:/+=~@",
    ],
)
def test_a_good_id_is_kept_as_it_came(log_output: LogOutput, given: str) -> None:
    """UUIDs, ULIDs, what nginx and load balancers make."""
    assert serve("/http/ok/", headers={"X-Request-ID": given}).request_id == given


@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        "a b",
        "a" * 129,
        "a" * 8192,
        "a,b",
        "a\tb",
        "a\x00b",
        "a\x1b[31mb",
        "a\nb",
        "a\r\nSet-Cookie: x=1",
        "é",
        "a;b",
        '"a"',
        "<a>",
        "a\u202eb",
        "١٢٣",
        "a%0a",
        "a\x7f",
        "a\n",
    ],
)
def test_a_bad_id_is_replaced_and_never_shown(log_output: LogOutput, given: str) -> None:
    """It is in no header and on no line."""
    request = RequestFactory().get("/x/")
    request.META["HTTP_X_REQUEST_ID"] = given
    response = TelemetryMiddleware(lambda request: HttpResponse())(request)
    assert MADE.fullmatch(response["X-Request-ID"])
    assert log_output.one("request_completed")["request.id"] == response["X-Request-ID"]


def test_no_other_byte_is_accepted(log_output: LogOutput) -> None:
    """Of all 256 bytes those of the design alone may stand in an id."""
    middleware = TelemetryMiddleware(lambda request: HttpResponse())
    kept = set()
    for byte in range(256):
        request = RequestFactory().get("/x/")
        request.META["HTTP_X_REQUEST_ID"] = given = f"a{chr(byte)}a"
        if middleware(request)["X-Request-ID"] == given:
            kept.add(chr(byte))
    assert kept == set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:/+=~@")


@pytest.mark.parametrize("given", [None, 5, b"bytes", ["list"], object()])
def test_what_is_no_text_is_replaced(log_output: LogOutput, given: Any) -> None:
    """A server or a test may put anything there."""
    request = RequestFactory().get("/x/")
    request.META["HTTP_X_REQUEST_ID"] = given
    assert MADE.fullmatch(TelemetryMiddleware(lambda request: HttpResponse())(request)["X-Request-ID"])


@BOTH
def test_an_id_that_the_view_sets_wins(log_output: LogOutput, is_async: bool) -> None:
    """In the response; the lines keep the request's own."""
    answer = serve(path_of("own_id", is_async))
    assert answer.request_id == "set-by-the-view"
    assert MADE.fullmatch(log_output.one("request_completed")["request.id"])


def test_the_header_can_be_renamed_both_ways(log_output: LogOutput, settings: Any) -> None:
    """In and out, and on outgoing calls."""
    settings.DTX_TELEMETRY = {"REQUEST_ID_HEADER": "X-Correlation-ID"}
    answer = serve("/http/helpers/", headers={"X-Correlation-ID": "theirs", "X-Request-ID": "not-this"})
    assert answer.headers["X-Correlation-ID"] == "theirs"
    assert "X-Request-ID" not in answer.headers
    assert json.loads(answer.body)["headers"] == {"X-Correlation-ID": "theirs"}


@pytest.mark.leaves_bound
def test_stale_keys_of_an_earlier_request_are_not_logged(log_output: LogOutput) -> None:
    """What was left bound under our names does not hold inside; it is there again after."""
    stale = {"request.id": "stale", "user.id": 99, "labels": ["stale"], "tournament.id": 99, "service": "mine"}
    bind_contextvars(**stale)
    answer = serve("/http/bound/")
    assert without_ids(json.loads(answer.body)) == {"request.id": answer.request_id, "service": "mine", "own": "value"}
    assert log_output.one("request_completed")["service"] == "mine"
    assert get_contextvars() == stale


class TestHelpers:
    """What an application may ask of the library."""

    @BOTH
    def test_in_a_request(self, log_output: LogOutput, is_async: bool) -> None:
        """The id, fields for a block, the headers of an outgoing call, and the context in a thread of a pool."""
        answer = serve(path_of("helpers", is_async), headers={"X-Request-ID": "theirs"})
        said = json.loads(answer.body)
        assert (said["id"], said["headers"]) == ("theirs", {"X-Request-ID": "theirs"})
        assert without_ids(said["in_thread"]) == {"request.id": "theirs", "step": "outgoing"}
        assert log_output.one("in_block")["step"] == "outgoing"
        assert "step" not in log_output.one("after_block")

    def test_outside_of_any(self) -> None:
        """There is no id and no header."""
        assert dtx_telemetry.get_request_id() is None
        assert dtx_telemetry.outgoing_headers() == {}

    def test_a_carried_function_may_run_often_and_at_once(self) -> None:
        """Each call has the context of when it was carried, in a copy of its own."""
        barrier = threading.Barrier(4)

        def work(number: int) -> dict[str, Any]:
            bind_contextvars(number=number)
            barrier.wait(30)
            return get_contextvars()

        with dtx_telemetry.bind_fields(job="all"):
            carried = dtx_telemetry.carry_context(work)
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(carried, range(4))) == [{"job": "all", "number": number} for number in range(4)]
        assert get_contextvars() == {}
