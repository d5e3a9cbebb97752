"""What serves requests and sockets: middlewares, tried with requests, and consumers."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.test import RequestFactory
from django.urls import URLPattern, get_resolver
from django.utils.module_loading import import_string

from .. import context
from ..checks.consumers import check_consumers, find_consumers, why_no_application
from ..checks.middleware import check_middleware, place_of_ours
from ..config import get_settings
from ..events import REQUEST
from ..guard import is_wrapped
from ..logging import beside, fields_of
from .labels import routes
from .report import Finding, noted, told_by, works, wrong

__all__ = ["look_at_consumers", "look_at_middleware"]

_TRIAL = "/dtx-telemetry-trial/"
#: Where load balancers and browsers knock, and middlewares like to answer.
_KNOCKED_AT = (
    *("/", _TRIAL, "/health/", "/health", "/healthz", "/ping/", "/ping", "/ready", "/status/"),
    *("/robots.txt", "/favicon.ico"),
)
_MAX_ROUTES = 100
_Chain = Callable[[HttpRequest], HttpResponseBase]


def look_at_middleware() -> Iterator[Finding]:
    """Try the project's own middlewares with requests."""
    told = list(told_by(check_middleware))
    yield from told
    place = place_of_ours()
    if place is None:
        return
    yield works(f"TelemetryMiddleware is number {place + 1} of {len(settings.MIDDLEWARE)}", place=place + 1)
    for path, request in _answers_before_ours(place).items():
        if not any(repr(path) in each.text for each in told):
            yield wrong(
                f"{path!r} answers {request} before TelemetryMiddleware is asked: such requests have no id and no line.",
                'Put "dtx_telemetry.middleware.TelemetryMiddleware" first in MIDDLEWARE.',
                middleware=path,
                request=request,
            )
    yield from _patterns_without_routes()
    if settings.ALLOWED_HOSTS or settings.DEBUG:
        yield _try_whole_chain()
    else:
        yield noted("no request was tried: ALLOWED_HOSTS is empty, so that every one would be refused")


def _patterns_without_routes() -> Iterator[Finding]:
    """Tell of ``EXCLUDE_PATHS`` that match no route, as a beginning of a path does: a middleware may serve those."""
    known = routes()
    for pattern in get_settings().exclude_paths:
        if not any(map(pattern.fullmatch, known)):
            longer = [f"{pattern.pattern}{end}" for end in ("/", ".*")]
            meant = [text for text in longer if any(re.fullmatch(text, route) for route in known)]
            yield noted(
                f"EXCLUDE_PATHS has {pattern.pattern!r}, which matches no route of the project",
                f"It has to match the whole path{f': did you mean {meant[0]!r}?' if meant else ', from its first slash.'}",
                pattern=pattern.pattern,
            )


def _answers_before_ours(place: int) -> dict[str, str]:
    """Return the middlewares in front of ours that answer a request themselves, each with the first such request."""
    entered: list[str] = []
    reached = HttpResponse()
    chain = _chain_of(settings.MIDDLEWARE[:place], reached, entered)
    found: dict[str, str] = {}
    for request in _requests() if place else ():
        entered.clear()
        try:
            response: object = chain(request)
        except Exception:
            response = None
        if response is not reached and entered:
            found.setdefault(entered[-1], f"{request.method} {request.path}")
    return found


def _chain_of(paths: list[str], reached: HttpResponse, entered: list[str]) -> _Chain:
    """Return the middlewares *paths*, which end in *reached* and note in *entered* whom a request comes by."""

    def noting(path: str, middleware: Any) -> _Chain:
        def call(request: HttpRequest) -> HttpResponseBase:
            entered.append(path)
            response: HttpResponseBase = middleware(request)
            return response

        return call

    chain: _Chain = lambda _: reached  # noqa: E731
    for path in reversed(paths):
        middleware = import_string(path)
        if getattr(middleware, "sync_capable", True):
            with suppress(MiddlewareNotUsed):
                chain = noting(path, middleware(chain))
    return chain


def _requests() -> Iterator[HttpRequest]:
    make, secure = _factory(), _is_secure()
    routes = [str(route.pattern) for route in get_resolver().url_patterns if isinstance(route, URLPattern)]
    plain = [f"/{route}" for route in routes if not set(route) & set("<^$\\(")]
    for path in dict.fromkeys([*_KNOCKED_AT, *plain[:_MAX_ROUTES]]):
        yield make.get(path, secure=secure)
    preflight: dict[str, Any] = {"HTTP_ORIGIN": "https://example.org", "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "POST"}
    yield make.options(_TRIAL, secure=secure, **preflight)
    yield make.post(_TRIAL, secure=secure)


def _factory(**headers: Any) -> RequestFactory:
    """Return what makes requests to a host that the project allows."""
    allowed = [host.removeprefix(".") for host in settings.ALLOWED_HOSTS if "*" not in host]
    forwarded: dict[str, Any] = dict([settings.SECURE_PROXY_SSL_HEADER] if settings.SECURE_PROXY_SSL_HEADER else [])
    return RequestFactory(SERVER_NAME=allowed[0] if allowed else "localhost", **forwarded, **headers)


def _is_secure() -> bool:
    return bool(settings.SECURE_SSL_REDIRECT)


def _try_whole_chain() -> Finding:
    """Send one request through the project's own chain, to a path that is not there."""
    found = get_settings()
    request_id = context.new_request_id()
    request = _factory(**{found.request_id_meta: request_id}).get(_TRIAL, secure=_is_secure())
    handler = BaseHandler()
    handler.load_middleware()
    with beside(listener := _Listener(request_id)):
        response = handler.get_response(request)
        response.close()
    said = f"GET {_TRIAL} is answered with {response.status_code}"
    facts: dict[str, Any] = {"status": response.status_code, "event": listener.event}
    if response.get(found.request_id_header) != request_id:
        return wrong(f"{said}, without {found.request_id_header}: the request did not pass TelemetryMiddleware.", **facts)
    if response.status_code >= 500:
        return wrong(f"{said}: {listener.error or 'see the lines above'}", "The project's own chain fails.", **facts)
    if not listener.event and not found.excludes(_TRIAL):
        return wrong(f"{said}, but its closing event was not logged.", "See the part on logging.", **facts)
    return works(f"{said}, {found.request_id_header} and {listener.event or 'no line, as EXCLUDE_PATHS says'}", **facts)


class _Listener(logging.Handler):
    """Keeps the closing event of one request."""

    def __init__(self, request_id: str) -> None:
        super().__init__()
        self._request_id = request_id
        self.event = ""
        self.error = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep *record* if it is what we wait for."""
        if record.name == REQUEST.logger and context.get_request_id() == self._request_id:
            self.event = str(record.msg)
            self.error = str(fields_of(record).get("error", ""))


def look_at_consumers() -> Iterator[Finding]:
    """List the consumers that the ASGI application leads to."""
    if find_spec("channels") is None:
        yield noted("Channels is not installed")
        return
    yield from told_by(check_consumers)
    consumers = find_consumers()
    for consumer in consumers:
        if is_wrapped(consumer, "__call__"):
            yield works(f"{consumer.__module__}.{consumer.__qualname__} is decorated")
    if consumers:
        return
    dotted = getattr(settings, "ASGI_APPLICATION", None)
    hint = "Let it name what your server is told, such as 'config.asgi.application'."
    if not dotted:
        yield noted("ASGI_APPLICATION is not set, so consumers were not looked for", hint)
    elif why := why_no_application():
        yield wrong(f"ASGI_APPLICATION is {dotted!r}, which is not there: {why}", hint)
    else:
        yield noted("no consumer is found in ASGI_APPLICATION")
