"""One HTTP request as the middleware sees it: its scope, its user, its answer."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import TracebackType
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from .. import context
from ..config import Settings, get_settings
from ..events import REQUEST
from ..guard import report
from . import bodies, users
from .events import ServedRequest, note_failure
from .responses import ATTRIBUTE, give_request_id
from .running import RunningRequests

__all__ = ["ATTRIBUTE", "RequestTelemetry", "begin", "telemetry_of"]

_OF_A_REGEX = frozenset("^$\\(?")
_NAMED_GROUP = re.compile(r"\(\?P<(\w+)>")
_PLACE = re.compile(r"<(\w+)>")
_ESCAPED = re.compile(r"\\(\W)")
_running = RunningRequests()


def begin(request: HttpRequest) -> "RequestTelemetry | None":
    """Enter the scope of *request* and return what observes it. Leaving its ``with`` block leaves the scope.

    ``None`` if the request is in its scope already, telemetry is off, or, after saying so, something is wrong.
    """
    try:
        settings, outer = get_settings(), request.__dict__.get(ATTRIBUTE)
        # The second one: the middleware stands in MIDDLEWARE twice.
        if not settings.enabled or (outer is not None and outer.scope is context.current_scope()):
            return None
        _running.watch_process()
        telemetry = request.__dict__[ATTRIBUTE] = RequestTelemetry(request, settings)
        _running.add(telemetry)
        return telemetry
    except Exception as error:
        report("TelemetryMiddleware", error)
        return None


def telemetry_of(request: object) -> "RequestTelemetry | None":
    """Return what observes *request*, if anything does."""
    return getattr(request, "__dict__", {}).get(ATTRIBUTE)


class RequestTelemetry(ServedRequest):
    """Observes one request. None of its methods raises an exception of its own.

    It does not hold the request, which holds it: that avoids a reference cycle.
    """

    __slots__ = ("__weakref__", "_looked_up", "_user_field", "_user_id", "_wants_route", "request_id")

    def __init__(self, request: HttpRequest, settings: Settings) -> None:
        given: Any = request.META.get(settings.request_id_meta)
        known = given is not None and context.valid_request_id(given)
        self.request_id: str = given if known else context.new_request_id()
        #: The attribute of the user that is bound; ``None`` if none is, or not any more.
        self._user_field = settings.user_id_field
        self._user_id: int | str | None = None
        self._looked_up = False
        fields = settings.scope_table.extract(request.path_info)
        fields["request.id"] = self.request_id
        scope = context.enter_root(REQUEST, fields, own=settings.own_keys, about=request)
        self._wants_route = settings.semconv != "old" or scope.span is not None
        super().__init__(settings, scope, request.method or "", request.path)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as None: a pickled copy of the request or the response is no longer being served."""
        return type(None), ()

    def __enter__(self) -> None:
        """Do nothing: the scope was entered when this was made."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the scope, and log the end of a request that ends with an exception. The exception goes on."""
        if error is not None:
            self.end(500 if note_failure(self.scope, error) else None)
        self.keep_context()
        self.scope.leave()

    def note_route_and_user(self, request: HttpRequest) -> users.LookUp | None:
        """Note the URL's pattern and bind the user's id. Unbind it if the user has logged out.

        Returns how to look the user up, at most once, if nobody has done so yet.
        """
        if self._wants_route:
            self.route = route_template(getattr(getattr(request, "resolver_match", None), "route", None))
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
        """As `bind_user`, but await the look-up."""
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

    def answer(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Return *response* with the request's id. Log its end: now, or when its body ends if that is made piece by piece."""
        status, streams = 500, None
        try:
            status = response.status_code
            context.tell("response_ready", self.scope, response)
            response = give_request_id(response, self._settings.request_id_header, self)
            if response.streaming:
                wanted, is_asgi = self.method != "HEAD", hasattr(request, "scope")
                streams = bodies.watch(response, self, wanted=wanted, is_asgi=is_asgi)
        except Exception as error:
            report("TelemetryMiddleware", error)
        if not streams:
            self.end(status)
        return response


@lru_cache(maxsize=1024)
def route_template(route: str | None) -> str | None:
    """Return the pattern of a URL as a path template: of regular expressions the named groups become ``{name}``.

    What `django.urls.path` got stays as it is written, its converters included.
    """
    if not isinstance(route, str):
        return None
    if _OF_A_REGEX.isdisjoint(route):
        return route if route.startswith("/") else f"/{route}"
    from django.contrib.admindocs.utils import replace_named_groups
    from django.contrib.admindocs.views import simplify_regex

    # First: simplify_regex loses a named group that has another group in it.
    path = _ESCAPED.sub(r"\1", simplify_regex(replace_named_groups(route)))
    names = set(_NAMED_GROUP.findall(route))
    return _PLACE.sub(lambda place: f"{{{place[1]}}}" if place[1] in names else place[0], path)
