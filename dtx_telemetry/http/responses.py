"""Responses: the id in their header, and closing them inside the scope of their request."""

import weakref
from collections.abc import Callable
from typing import Any, Protocol

from django.core.signals import request_finished
from django.http import HttpRequest
from django.http.response import HttpResponseBase, ResponseHeaders, StreamingHttpResponse

from ..guard import never_raises, wrap_method
from .bodies import WatchedBody, aiterating_inside, iterating_inside

__all__ = ["ATTRIBUTE", "close_inside_scopes", "give_request_id"]

#: Under this name a request knows its telemetry, and the headers of a response know that of the request it was given to.
ATTRIBUTE = "_dtx_telemetry"


class _Telemetry(Protocol):
    request_id: str

    def run(self, function: Callable[..., Any], *args: Any) -> Any: ...

    def forget_context(self) -> None: ...


def give_request_id(response: HttpResponseBase, name: str, telemetry: _Telemetry) -> HttpResponseBase:
    """Put the id of the request into the header *name* of *response*, unless the application did, and return the response.

    A view may keep a response and give it out again, to two requests at the same time too. Each but the first gets a copy.
    """
    # setdefault() of a dict is atomic: of two threads with the same response, one is the first.
    first = response.headers.__dict__.setdefault(ATTRIBUTE, telemetry)
    if first is not telemetry:
        response = _copy(response, name, first)
        response.headers.__dict__[ATTRIBUTE] = telemetry
    response.headers.setdefault(name, telemetry.request_id)
    return response


def _copy(response: HttpResponseBase, name: str, first: _Telemetry | None) -> HttpResponseBase:
    """Return a copy of *response* without the id of the request that it was given to first."""
    copied = object.__new__(type(response))
    copied.__dict__.update(response.__dict__)
    copied.headers = ResponseHeaders(response.headers)
    # None: it has been pickled since.
    if first is None or copied.headers.get(name) == first.request_id:
        copied.headers.pop(name, None)
    closers = _closers_of(response)
    copied.__dict__["_resource_closers"] = [closer for closer in closers if not _ends_a_request(closer)]
    closers[:] = [closer for closer in closers if _ends_a_request(closer)]
    return copied


def _ends_a_request(closer: Callable[[], object]) -> bool:
    return isinstance(getattr(closer, "__self__", None), HttpRequest | WatchedBody)


def close_inside_scopes() -> None:
    """Make responses close inside the scope of their request. A second call does nothing.

    Closing a response closes its files and generators and sends ``request_finished``. Nothing tells of it beforehand, nor of
    what Django does between two pieces of a body.
    """
    wrap_method(HttpResponseBase, "close", _closing)
    wrap_method(StreamingHttpResponse, "__iter__", iterating_inside)
    wrap_method(StreamingHttpResponse, "__aiter__", aiterating_inside)


def _closing(close: Callable[[HttpResponseBase], None]) -> Callable[[HttpResponseBase], None]:
    djangos_receivers = [entry for entry in request_finished.receivers if _is_djangos(entry[1])]

    def close_inside_scope(self: HttpResponseBase) -> None:
        # Most responses have only their request to close, and most projects have no receivers of their own: nothing is logged
        # then. Entering the scope takes a sixth of all that we add to a request.
        closers: list[Any] = self._resource_closers  # type: ignore[attr-defined]
        is_heard = getattr(self, "streaming", True) or len(closers) > 1 or request_finished.receivers != djangos_receivers
        telemetry = _telemetry_of(self) if is_heard else None
        if telemetry is None:
            close(self)
            return
        try:
            telemetry.run(close, self)
        finally:
            telemetry.forget_context()

    return close_inside_scope


def _is_djangos(receiver: Any) -> bool:
    function = receiver() if isinstance(receiver, weakref.ref) else receiver
    return str(getattr(function, "__module__", "")).startswith("django.")


@never_raises
def _telemetry_of(response: HttpResponseBase) -> _Telemetry | None:
    """Return the telemetry of the request that *response* answers.

    Django closes the request with its response, whichever middleware put that in the place of another.
    """
    for closer in reversed(_closers_of(response)):
        request = _request_closed_by(closer)
        if request is not None:
            return request.__dict__.get(ATTRIBUTE)
    if response.closed:  # once more: the request that it was closed for is over, and it may have met others since
        return None
    return response.headers.__dict__.get(ATTRIBUTE)  # no handler of Django's has it: a middleware called by hand


def _closers_of(response: HttpResponseBase) -> list[Callable[[], object]]:
    return response._resource_closers  # type: ignore[attr-defined,no-any-return]


def _request_closed_by(closer: Callable[[], object]) -> HttpRequest | None:
    owner = getattr(closer, "__self__", None)
    return owner if isinstance(owner, HttpRequest) else None
