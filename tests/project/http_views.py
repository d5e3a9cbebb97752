"""Views that end in every way there is; most are there twice: synchronous, and asynchronous under ``async/``."""

import asyncio
import io
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from django.contrib import auth
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotModified,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.template.backends.django import DjangoTemplates
from django.template.response import TemplateResponse
from structlog.contextvars import bind_contextvars, get_contextvars

from dtx_telemetry import bind_fields, carry_context, get_logger, get_request_id, outgoing_headers

log = get_logger(__name__)


def ok(request: HttpRequest) -> HttpResponse:
    log.info("seen")
    return HttpResponse("ok", headers={"X-Own": "1"})


def raising(error: BaseException) -> Callable[[HttpRequest], HttpResponse]:
    """Return a view that raises another exception like *error* each time."""

    def view(request: HttpRequest) -> HttpResponse:
        raise type(error)(*error.args)

    return view


def no_response(request: HttpRequest) -> None:
    log.info("seen")


def own_id(request: HttpRequest) -> HttpResponse:
    return HttpResponse(headers={"X-Request-ID": "set-by-the-view"})


def bound(request: HttpRequest) -> HttpResponse:
    """Bind a key and say what is bound."""
    bind_contextvars(own="value")
    return JsonResponse(get_contextvars())


def helpers(request: HttpRequest) -> HttpResponse:
    """What an application may ask of the library."""
    with bind_fields(step="outgoing"), ThreadPoolExecutor(1) as pool:
        in_thread = pool.submit(carry_context(get_contextvars)).result()
        log.info("in_block")
    log.info("after_block")
    return JsonResponse({"id": get_request_id(), "headers": outgoing_headers(), "in_thread": in_thread})


def _from_string(source: str) -> Any:
    return DjangoTemplates({"NAME": "views", "DIRS": [], "APP_DIRS": False, "OPTIONS": {}}).from_string(source)


def template(request: HttpRequest) -> HttpResponse:
    return TemplateResponse(request, _from_string("hello {{ name }}"), {"name": "Invoker"})


def broken_template(request: HttpRequest) -> HttpResponse:
    return TemplateResponse(request, _from_string("{{ boom }}"), {"boom": _boom})


def _boom() -> str:
    raise RuntimeError("no template")


PLAIN: dict[str, Callable[[HttpRequest], Any]] = {
    "ok": ok,
    "missing": raising(Http404("nothing here")),
    "denied": raising(PermissionDenied("no")),
    "suspicious": raising(SuspiciousOperation("odd")),
    "bad": raising(BadRequest("bad")),
    "boom": raising(RuntimeError("no mana")),
    "no_response": no_response,
    "exit": raising(SystemExit(3)),
    "interrupt": raising(KeyboardInterrupt()),
    "redirect": lambda request: HttpResponseRedirect("/http/ok/"),
    "not_modified": lambda request: HttpResponseNotModified(),
    "teapot": lambda request: HttpResponse("short and stout", status=418),
    "unavailable": lambda request: HttpResponse("later", status=503),
    "own_id": own_id,
    "bound": bound,
    "helpers": helpers,
    "template": template,
    "broken_template": broken_template,
}


def asynchronous(view: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Awaitable[Any]]:
    async def aview(request: HttpRequest) -> Any:
        await asyncio.sleep(0)
        return view(request)

    return aview


# Users


def who(request: HttpRequest) -> HttpResponse:
    log.info("who")
    return HttpResponse(str(request.user.pk))


async def awho(request: HttpRequest) -> HttpResponse:
    log.info("who")
    return HttpResponse(str((await request.auser()).pk))


def who_twice(request: HttpRequest) -> HttpResponse:
    """Use session and user in more than one way."""
    seen = request.session.get("seen", 0)
    return HttpResponse(f"{request.user.pk} {request.user.is_authenticated} {seen} {sorted(request.session.keys())}")


def write_session(request: HttpRequest) -> HttpResponse:
    request.session["seen"] = request.session.get("seen", 0) + 1
    return HttpResponse(str(request.session["seen"]))


def flush_session(request: HttpRequest) -> HttpResponse:
    """Empty the session by hand, then ask for the user."""
    request.session.flush()
    return HttpResponse(str(request.user.pk))


def cycle_session(request: HttpRequest) -> HttpResponse:
    request.session.cycle_key()
    return HttpResponse(str(request.user.pk))


def log_in(request: HttpRequest) -> HttpResponse:
    user = auth.get_user_model().objects.get(username=request.GET.get("name", "invoker"))
    auth.login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse(str(request.user.pk))


def log_out(request: HttpRequest) -> HttpResponse:
    auth.logout(request)
    return HttpResponse(str(request.user.pk))


async def alog_in(request: HttpRequest) -> HttpResponse:
    user = await auth.get_user_model().objects.aget(username=request.GET.get("name", "invoker"))
    await auth.alogin(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse(str((await request.auser()).pk))


async def alog_out(request: HttpRequest) -> HttpResponse:
    await auth.alogout(request)
    return HttpResponse(str((await request.auser()).pk))


USERS: dict[str, Callable[[HttpRequest], Any]] = {
    "who": who,
    "who_twice": who_twice,
    "write_session": write_session,
    "flush_session": flush_session,
    "cycle_session": cycle_session,
    "log_in": log_in,
    "log_out": log_out,
}
ASYNC_USERS: dict[str, Callable[[HttpRequest], Any]] = {"who": awho, "log_in": alog_in, "log_out": alog_out}


# Streams


def pieces(count: int, fail: bool) -> Iterator[str]:
    try:
        for number in range(count):
            log.info("piece", number=number)
            bind_contextvars(last=number)
            yield f"{number};"
        if fail:
            raise RuntimeError("no more pieces")
    finally:
        log.info("pieces_closed")


async def apieces(count: int, fail: bool) -> AsyncIterator[str]:
    try:
        for number in range(count):
            await asyncio.sleep(0)
            log.info("piece", number=number)
            bind_contextvars(last=number)
            yield f"{number};"
        if fail:
            raise RuntimeError("no more pieces")
    finally:
        log.info("pieces_closed")


def stream(request: HttpRequest) -> HttpResponse:
    return StreamingHttpResponse(pieces(int(request.GET.get("count", 3)), "fail" in request.GET), headers={"X-Own": "1"})


async def astream(request: HttpRequest) -> HttpResponse:
    return StreamingHttpResponse(apieces(int(request.GET.get("count", 3)), "fail" in request.GET), headers={"X-Own": "1"})


def file(request: HttpRequest) -> HttpResponse:
    return FileResponse(io.BytesIO(b"quas wex exort"), filename="spell.txt", as_attachment=True)


def real_file(request: HttpRequest) -> HttpResponse:
    return FileResponse(Path(__file__).open("rb"))


STREAMS: dict[str, Callable[[HttpRequest], Any]] = {"stream": stream, "file": file, "real_file": real_file}
ASYNC_STREAMS: dict[str, Callable[[HttpRequest], Any]] = {"stream": astream}


# Waiting and talking to others, for servers


def slow(request: HttpRequest) -> HttpResponse:
    log.info("waiting")
    time.sleep(float(request.GET.get("seconds", 0.1)))
    return HttpResponse(threading.current_thread().name)


async def aslow(request: HttpRequest) -> HttpResponse:
    log.info("waiting")
    await asyncio.sleep(float(request.GET.get("seconds", 60)))
    return HttpResponse("waited")


async def aslow_stream(request: HttpRequest) -> HttpResponse:
    async def ticks() -> AsyncIterator[str]:
        try:
            while True:
                log.info("tick")
                yield "tick\n"
                await asyncio.sleep(0.01)
        finally:
            log.info("ticks_closed")

    return StreamingHttpResponse(ticks())


def busy(request: HttpRequest) -> HttpResponse:
    """Log by both worlds, and answer with the id."""
    log.info("busy")
    logging.getLogger("third.party").info("of stdlib")
    return HttpResponse(get_request_id())


def call(request: HttpRequest) -> HttpResponse:
    """Call another service by the library that the query names, in the way that the README shows."""
    url = request.GET["url"]
    match request.GET["by"]:
        case "httpx":
            import httpx

            return HttpResponse(httpx.get(url, headers=outgoing_headers(), trust_env=False).content)
        case "requests":
            import requests

            return HttpResponse(requests.get(url, headers=outgoing_headers(), timeout=10).content)
        case _:
            import urllib.request

            outgoing = urllib.request.Request(url, headers=outgoing_headers())
            return HttpResponse(urllib.request.urlopen(outgoing, timeout=10).read())
