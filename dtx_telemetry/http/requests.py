"""One HTTP request as the middleware sees it: its scope, its user, its answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from .. import context
from ..config import Settings, get_settings
from ..events import REQUEST
from ..guard import report
from ..logging import get_logger
from ..tracing import TRACING
from . import bodies, users
from .events import RequestEvents, note_failure
from .responses import ATTRIBUTE, give_request_id

__all__ = ["ATTRIBUTE", "RequestTelemetry", "begin", "telemetry_of"]

_log = get_logger("dtx_telemetry.middleware")


def begin(request: HttpRequest) -> "RequestTelemetry | None":
    """Enter the scope of *request* and return what observes it. Leaving its ``with`` block leaves the scope.

    ``None`` where the request is in its scope already, telemetry is off, or, after saying so, something is wrong.
    """
    try:
        settings, outer = get_settings(), request.__dict__.get(ATTRIBUTE)
        # The second one: the middleware stands in MIDDLEWARE twice.
        if not settings.enabled or (outer is not None and outer.scope is context.current_scope()):
            return None
        telemetry = request.__dict__[ATTRIBUTE] = RequestTelemetry(request, settings)
        return telemetry
    except Exception as error:
        report("TelemetryMiddleware", error)
        return None


def telemetry_of(request: object) -> "RequestTelemetry | None":
    """Return what observes *request*, if anything does."""
    return getattr(request, "__dict__", {}).get(ATTRIBUTE)


class RequestTelemetry(RequestEvents):
    """Observes one request. None of its methods raises an exception of its own.

    It does not hold the request, which holds it: neither would be freed before the garbage collector comes by.
    """

    __slots__ = ("_looked_up", "_user_field", "_user_id", "request_id")

    def __init__(self, request: HttpRequest, settings: Settings) -> None:
        given: Any = request.META.get(settings.request_id_meta)
        known = given is not None and context.valid_request_id(given)
        self.request_id: str = given if known else context.new_request_id()
        #: The attribute of the user that is bound; ``None`` where none is, or not any more.
        self._user_field = settings.user_id_field
        self._user_id: int | str | None = None
        self._looked_up = False
        fields = settings.scope_table.extract(request.path_info)
        fields["request.id"] = self.request_id
        scope = context.enter_root(REQUEST, fields, own=settings.own_keys)
        super().__init__(_log, settings, scope, request.method or "", request.path)
        if TRACING.on is not None and not settings.excludes(request.path):
            self.span = scope.span = TRACING.on.requests.begin(
                request.META, self._method, str(request.scheme), self._path, _http_version(request), partial(_url, request)
            )

    def __reduce__(self) -> tuple[Any, ...]:
        """Be nothing in a copy of the request or the response that is pickled."""
        return type(None), ()

    def __enter__(self) -> None:
        """Be inside the scope, which was entered as this was made."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the scope; log the end of a request that ends with an exception, which goes on."""
        if error is not None:
            self.end(500 if note_failure(self.scope, error) else None)
        self.scope.leave()

    def note_route_and_user(self, request: HttpRequest) -> users.LookUp | None:
        """Note the URL's pattern, and bind the id of the user, or none where nobody is authenticated any more.

        Returns how to look the user up, at most once, where nobody has done so yet.
        """
        if self._settings.semconv != "old" or self.span is not None:
            self._note_route(request)
        if self._user_field is None:
            return None
        try:
            user, look_up = users.find(request)
            if look_up is None:
                if user is not None or self._user_id is not None:
                    self._bind(user)
            elif not self._looked_up:
                self._looked_up = True
                return look_up
        except Exception as error:
            self._give_up_user(error)
        return None

    def bind_user(self, look_up: users.LookUp) -> None:
        """Look the user up and bind the id."""
        with self._guarding_user():
            self._bind(look_up.user())

    async def abind_user(self, look_up: users.LookUp) -> None:
        """As `bind_user`, where looking up is awaited."""
        with self._guarding_user():
            self._bind(await look_up.auser())

    def _bind(self, user: Any) -> None:
        value = None if self._user_field is None else context.user_id(user, self._user_field)
        if value != self._user_id:
            self._user_id = value
            self.scope.set_field("user.id", value)

    @contextmanager
    def _guarding_user(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._give_up_user(error)

    def _give_up_user(self, error: Exception) -> None:
        """Say once that there is something wrong with the user, and do not touch it again."""
        self._user_field = None
        report("user.id", error)

    def answer(self, response: HttpResponseBase) -> HttpResponseBase:
        """Return *response* with the request's id. Log its end: now, or when its body ends if that is made piece by piece."""
        status, streams = 500, None
        try:
            status = response.status_code
            if self.span is not None:
                self.span.answer(response, response.headers)
            response = give_request_id(response, self._settings.request_id_header, self)
            streams = response.streaming and bodies.watch(response, self, wanted=self._method != "HEAD")
        except Exception as error:
            report("TelemetryMiddleware", error)
        if not streams:
            self.end(status)
        return response

    def _note_route(self, request: HttpRequest) -> None:
        """Note the URL pattern as a path template; one of ``re_path`` is left as it is written."""
        route = getattr(getattr(request, "resolver_match", None), "route", None)
        self._route = f"/{route}" if isinstance(route, str) and not route.startswith(("^", "/")) else route


def _http_version(request: HttpRequest) -> str | None:
    asgi = getattr(request, "scope", None)
    protocol: str = request.META.get("SERVER_PROTOCOL", "")
    return asgi.get("http_version") if isinstance(asgi, dict) else protocol.removeprefix("HTTP/") or None


def _url(request: HttpRequest) -> str:
    """Return the request's URL without its query, whatever its host is."""
    host = request.META.get("HTTP_HOST") or request.META.get("SERVER_NAME", "")
    return f"{request.scheme}://{host}{request.path}"
