"""HTTP requests: the server's span and the metric of its duration, by the stable semantic conventions.

Plain functions of begin and end, called by whatever serves the request in its own scope: no middleware, so no hop to a thread,
and the span lasts as long as the scope does, a streamed body's end included.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol

from opentelemetry import propagate, trace
from opentelemetry.context import Context, get_current
from opentelemetry.instrumentation.propagators import get_global_response_propagator
from opentelemetry.propagators.textmap import Getter
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import (
    HTTP_REQUEST_METHOD,
    HTTP_REQUEST_METHOD_ORIGINAL,
    HTTP_RESPONSE_STATUS_CODE,
    HTTP_ROUTE,
)
from opentelemetry.semconv.attributes.network_attributes import NETWORK_PROTOCOL_VERSION
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.semconv.attributes.url_attributes import URL_PATH, URL_SCHEME
from opentelemetry.semconv.attributes.user_agent_attributes import USER_AGENT_ORIGINAL
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.util.http import get_excluded_urls, sanitize_method

from ..context import End, Scope
from ..guard import never_raises
from .current import ROOT, is_in_scope
from .failures import Failures, type_name
from .headers import Headers
from .metrics import Measures
from .sdk.providers import Providers
from .spans import ScopeSpan, scope_fields

__all__ = ["META_GETTER", "RequestSpan", "RequestSpans"]


class Request(Protocol):
    """What the span of a request wants to know of it. Django's request has all of it."""

    META: Mapping[str, Any]
    method: str | None
    path: str

    @property
    def scheme(self) -> str | None: ...


class _MetaGetter(Getter[Mapping[str, Any]]):
    """Reads headers of Django's ``META``, which WSGI and ASGI requests both have."""

    def get(self, carrier: Mapping[str, Any], key: str) -> list[str] | None:
        value = carrier.get(_meta_key(key))
        return None if value is None else [value]

    def keys(self, carrier: Mapping[str, Any]) -> list[str]:
        return [key[5:].lower().replace("_", "-") for key in carrier if key.startswith("HTTP_")]


META_GETTER = _MetaGetter()


def _meta_key(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")


class RequestSpans:
    """Begins the spans of requests.

    Args:
        providers: make spans.
        failures: records what they fail with.
        measures: the metrics.
        trusts: True if a request's ``traceparent`` is its parent. Else it gets a trace of its own, with a link.
        excludes: whether a path gets no span.
    """

    def __init__(
        self,
        providers: Providers,
        failures: Failures,
        measures: Measures,
        *,
        trusts: bool,
        excludes: Callable[[str], bool],
    ) -> None:
        self._excludes = excludes
        self._providers = providers
        self._failures = failures
        self._measures = measures
        self._trusts = trusts
        self._excluded = get_excluded_urls("DJANGO")
        self._headers = Headers()
        # It reads its variable at each call.
        self._known_method = lru_cache(maxsize=64)(sanitize_method)
        self._carries = frozenset(map(_meta_key, propagate.get_global_textmap().fields))

    @never_raises
    def begin(self, scope: Scope, request: Request) -> RequestSpan | None:
        """Begin the span of a request and make it current. Return None if its URL is excluded."""
        if self._excludes(request.path) or (self._excluded._excluded_urls and self._excluded.url_disabled(_url(request))):
            return None
        method = request.method or ""
        known, scheme, meta = self._known_method(method), str(request.scheme), request.META
        attributes = _attributes(meta, method, known, scheme, request.path, _http_version(request))
        outside = get_current()
        if (foreign := _foreign_span(outside)) is not None:
            foreign.set_attributes({**attributes, **scope_fields()})
            return RequestSpan(self, foreign, outside, attributes, owned=False)
        attributes |= self._headers.of_request(meta)
        parent, links = self.origin(meta, outside)
        name = "HTTP" if known == "_OTHER" else known
        span = self._providers.tracer().start_span(name, parent, SpanKind.SERVER, attributes, links)
        return RequestSpan(self, span, parent, attributes, owned=True)

    @never_raises
    def answer(self, scope: Scope, response: Any) -> None:
        """Note what is known once there is a response, and let the global response propagator have its headers."""
        span = scope.span
        if not isinstance(span, RequestSpan):
            return
        if span.span.is_recording():
            span.span.set_attributes(self._headers.of_response(response.headers))
        propagator = get_global_response_propagator()  # type: ignore[no-untyped-call]
        if propagator is not None:
            propagator.inject(response)

    def origin(self, meta: Mapping[str, Any], outside: Context) -> tuple[Context, list[Link] | None]:
        """Return the context that a request brings, or if that is not trusted, a root's and a link to it.

        One that brings none has somebody else's of *outside*, and none of ours: a server that a management command runs is in
        the command's scope, and would serve all requests in one trace.
        """
        if self._carries.isdisjoint(meta):
            return (outside if outside and not is_in_scope(outside) else ROOT), None
        context = propagate.extract(meta, ROOT, META_GETTER)
        if self._trusts:
            return context, None
        caller = trace.get_current_span(context).get_span_context()
        return ROOT, [Link(caller)] if caller.is_valid else None


class RequestSpan(ScopeSpan):
    """The span of one request: ours, or one that was current when it began, which is enriched and left to its maker."""

    __slots__ = ("_attributes", "_owned", "_spans", "_started")

    def __init__(self, spans: RequestSpans, span: Span, parent: Context, attributes: dict[str, Any], *, owned: bool) -> None:
        super().__init__(span, parent, spans._failures)
        self._spans = spans
        self._attributes = attributes
        self._owned = owned
        self._started = time.perf_counter()

    @never_raises
    def finish_scope(self, scope: Scope, end: End) -> None:
        """End the span with what the request came to, and measure it."""
        status, route, error = end.facts["status"], end.facts["route"], end.error
        if self._ended:
            return
        seconds = time.perf_counter() - self._started
        outcome = _outcome(status, route, error)
        if self.span.is_recording():
            self.span.set_attributes(outcome)
            if route is not None:
                self.span.update_name(f"{self._attributes[HTTP_REQUEST_METHOD]} {route}".replace("_OTHER", "HTTP"))
            if status is not None and status >= 500 and error is None:
                self.span.set_status(StatusCode.ERROR)
        if self._owned:
            self._spans._measures.request(seconds, self._attributes, outcome)
            self.end(error)
        else:
            self._ended = True
            self.note_end(error, owned=False)


def _attributes(
    meta: Mapping[str, Any], method: str, known: str, scheme: str, path: str, version: str | None
) -> dict[str, Any]:
    attributes: dict[str, Any] = {HTTP_REQUEST_METHOD: known, URL_SCHEME: scheme, URL_PATH: path}
    if known != method:
        attributes[HTTP_REQUEST_METHOD_ORIGINAL] = method
    if version:
        attributes[NETWORK_PROTOCOL_VERSION] = version
    if agent := meta.get("HTTP_USER_AGENT"):
        attributes[USER_AGENT_ORIGINAL] = agent
    _add_server(attributes, meta.get("HTTP_HOST"), meta.get("SERVER_NAME"), meta.get("SERVER_PORT"))
    return attributes


def _add_server(attributes: dict[str, Any], host: str | None, name: str | None, port: object) -> None:
    """Add the server's address and port as the client named them, else as the server knows them."""
    address = host or name
    if not address:
        return
    if host:
        before, colon, after = host.rpartition(":")
        if colon and after.isdecimal():  # not within an IPv6 address, which ends with a bracket
            address, port = before, after
    attributes[SERVER_ADDRESS] = address
    if isinstance(port, int | str) and str(port).isdecimal():
        attributes[SERVER_PORT] = int(port)


def _outcome(status: int | None, route: str | None, error: BaseException | None) -> dict[str, Any]:
    outcome: dict[str, Any] = {}
    if status is not None:
        outcome[HTTP_RESPONSE_STATUS_CODE] = status
    if route is not None:
        outcome[HTTP_ROUTE] = route
    if error is not None:
        outcome[ERROR_TYPE] = type_name(error)
    elif status is not None and status >= 500:
        outcome[ERROR_TYPE] = str(status)
    return outcome


def _foreign_span(outside: Context) -> Span | None:
    """Return the span that another instrumentation of the server has made current, or None.

    One that has ended, or that came from another process, is not the server's.
    """
    if not outside or is_in_scope(outside):
        return None
    span = trace.get_current_span(outside)
    context = span.get_span_context()
    if not context.is_valid or context.is_remote or getattr(span, "end_time", None) is not None:
        return None
    return span


def _http_version(request: Request) -> str | None:
    asgi = getattr(request, "scope", None)
    protocol: str = request.META.get("SERVER_PROTOCOL", "")
    return asgi.get("http_version") if isinstance(asgi, dict) else protocol.removeprefix("HTTP/") or None


def _url(request: Request) -> str:
    """Return the request's URL without its query, whatever its host is."""
    host = request.META.get("HTTP_HOST") or request.META.get("SERVER_NAME", "")
    return f"{request.scheme}://{host}{request.path}"
