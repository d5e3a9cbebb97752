"""The Django middleware: a scope for each request, its id in and out, its user once that is known, and one closing event."""

import logging
import sys
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.signals import got_request_exception
from django.http.response import ResponseHeaders

from . import context
from .config import Settings, get_settings
from .guard import never_raises, report
from .http import bodies, events, users
from .logging import Subject, about_scope, get_logger, lines_of, restore

__all__ = ["TelemetryMiddleware"]

_ATTRIBUTE = "_dtx_exchange"
# A header by its name in lower case, in all versions of Django so far; where that changes, its own method is asked.
_HAS_STORE = getattr(ResponseHeaders({"A": "b"}), "_store", None) == {"a": ("A", "b")}
_log = get_logger(__name__)


class TelemetryMiddleware:
    """Binds ``request.id``, ``user.id`` and labels for each request and logs how it ended.

    Belongs first in ``MIDDLEWARE``. Synchronous in a synchronous chain, asynchronous in an asynchronous one, without a hop.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        # Django adapts a hook that is not of the handler's kind by a hop to a thread.
        self.process_view = _alearn if self._is_async else _learn
        _prepare_logging()

    def __call__(self, request: Any) -> Any:
        """Serve *request* in a scope of its own."""
        if self._is_async:
            return self._acall(request)
        exchange = _begin(request)
        if exchange is None:
            return self.get_response(request)
        try:
            response = self.get_response(request)
            glance = exchange.learn(request)
            if glance is not None:
                exchange.look(glance)
            exchange.answer(request, response)
            return response
        except BaseException as error:
            exchange.fail(request, error)
            raise
        finally:
            context.leave(exchange.scope)

    async def _acall(self, request: Any) -> Any:
        exchange = _begin(request)
        if exchange is None:
            return await self.get_response(request)
        try:
            response = await self.get_response(request)
            glance = exchange.learn(request)
            if glance is not None:
                await exchange.alook(glance)
            exchange.answer(request, response)
            return response
        except BaseException as error:
            exchange.fail(request, error)
            raise
        finally:
            context.leave(exchange.scope)


@never_raises
def _prepare_logging() -> None:
    restore()
    logging.getLogger("django.request").addFilter(_LATE_LINES)


def _learn(request: Any, *_: Any) -> None:
    """Bind the user before the view runs, when every middleware has had its say about it."""
    exchange = request.__dict__.get(_ATTRIBUTE)
    if exchange is not None and (glance := exchange.learn(request)) is not None:
        exchange.look(glance)


async def _alearn(request: Any, *_: Any) -> None:
    exchange = request.__dict__.get(_ATTRIBUTE)
    if exchange is not None and (glance := exchange.learn(request)) is not None:
        await exchange.alook(glance)


class _Exchange(events.RequestEvents):
    """One request and its response. Of all that the middleware calls here nothing raises an exception.

    It does not hold the request, which holds it: neither would be freed before the garbage collector comes by.
    """

    __slots__ = ("_field", "_request_id", "_user_id")

    def __init__(self, request: Any, settings: Settings) -> None:
        given = request.META.get(settings.request_id_meta)
        known = given is not None and context.valid_request_id(given)
        self._request_id = given if known else context.new_request_id()
        self._field = settings.user_id_field
        self._user_id: int | str | None = None
        fields = settings.scope_table.extract(request.path_info)
        fields["request.id"] = self._request_id
        scope = context.enter_root(fields, own=settings.own_keys)
        super().__init__(_log, settings, scope, request.method or "", request.path)

    def __reduce__(self) -> tuple[Any, ...]:
        """Be nothing in a copy of the request that is pickled."""
        return type(None), ()

    def learn(self, request: Any) -> users.Glance | None:
        """Bind the id of the user, or none where nobody is authenticated any more; return the way to look where one has to."""
        if self._field is not None:
            try:
                user = users.found(request)
                if type(user) is users.Glance:
                    return user
                if user is not None or self._user_id is not None:
                    self._bind(user)
            except Exception as error:
                self._give_up(error)
        return None

    def look(self, glance: users.Glance) -> None:
        """Bind the id of the user that is found by looking."""
        try:
            self._bind(glance.look())
        except Exception as error:
            self._give_up(error)

    async def alook(self, glance: users.Glance) -> None:
        """As `look`, where the look-up is awaited."""
        try:
            self._bind(await glance.alook())
        except Exception as error:
            self._give_up(error)

    def _bind(self, user: Any) -> None:
        value = None if self._field is None else context.user_id(user, self._field)
        if value != self._user_id:
            self._user_id = value
            context.unbind("user.id")
            if value is not None:
                context.bind({"user.id": value})

    def _give_up(self, error: Exception) -> None:
        """Say once that there is something wrong with the user, and do not touch it again."""
        self._field = None
        report("user.id", error)

    def answer(self, request: Any, response: Any) -> None:
        """Give the id to the response and log its end: now, or when its body ends where that is made piece by piece."""
        status, streams = 500, None
        try:
            status = response.status_code
            if self._settings.semconv != "old":
                self._learn_route(request)
            name, headers = self._settings.request_id_header, response.headers
            if type(headers) is ResponseHeaders and _HAS_STORE:  # what setdefault does, without an exception and two checks
                headers._store.setdefault(name.lower(), (name, self._request_id))
            else:
                headers.setdefault(name, self._request_id)
            streams = response.streaming and bodies.watch(response, self.scope, self.end, wanted=self._method != "HEAD")
        except Exception as error:
            report("TelemetryMiddleware", error)
        if not streams:
            self.end(status)

    def fail(self, request: Any, error: BaseException) -> None:
        """Log the end of a request that ends with an exception, which goes on."""
        if self._settings.semconv != "old":
            self._learn_route(request)
        self.end(500 if events.note_failure(self.scope, error) else None)

    def _learn_route(self, request: Any) -> None:
        """Note the URL pattern as a path template; one of ``re_path`` is left as it is written."""
        route = getattr(getattr(request, "resolver_match", None), "route", None)
        self._route = f"/{route}" if isinstance(route, str) and not route.startswith(("^", "/")) else route


def _begin(request: Any) -> _Exchange | None:
    """Enter the scope of *request*; ``None`` where it is in one, telemetry is off, or, after saying so, something is wrong."""
    try:
        settings, outer = get_settings(), request.__dict__.get(_ATTRIBUTE)
        # The second one: this class stands in MIDDLEWARE twice.
        if not settings.enabled or (outer is not None and outer.scope is context.current_scope()):
            return None
        exchange = request.__dict__[_ATTRIBUTE] = _Exchange(request, settings)
        return exchange
    except Exception as error:
        report("TelemetryMiddleware", error)
        return None


class _LateLines(logging.Filter):
    """Puts the request's context on what Django logs about its response after the last middleware is done."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = record.__dict__.get("request")
        exchange = getattr(request, "__dict__", {}).get(_ATTRIBUTE)
        if exchange is not None and exchange.scope is not context.current_scope():
            for key, value in exchange.scope.inside.items():
                record.__dict__.setdefault(key, value)
        return True


_LATE_LINES = _LateLines()


@lines_of("django.request")
def _about_response(record: logging.LogRecord) -> Subject | None:
    """Return what Django's line about a response repeats: how its request ended."""
    request = record.__dict__.get("request") if hasattr(record, "status_code") else None
    exchange = getattr(request, "__dict__", {}).get(_ATTRIBUTE)
    return None if exchange is None else about_scope(exchange.scope)


@never_raises
def _note_exception(request: Any = None, **_: Any) -> None:
    """Note the exception that Django turns into a response; a receiver of ``got_request_exception``."""
    exchange = getattr(request, _ATTRIBUTE, None)
    if exchange is not None:
        events.note_failure(exchange.scope, sys.exc_info()[1])


got_request_exception.connect(_note_exception, dispatch_uid="dtx_telemetry.note_exception")
