"""Bodies made piece by piece: each piece is made inside the request's scope, and the end of the last ends the request."""

import inspect
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

from django.http.response import HttpResponseBase

from ..guard import never_raises
from .events import RequestEvents, note_failure

__all__ = ["WatchedBody", "watch"]

_Source = TypeVar("_Source", Iterator[Any], AsyncIterator[Any])


@never_raises
def watch(response: HttpResponseBase, request: RequestEvents, *, wanted: bool) -> bool:
    """Make the streaming *response* end *request* as its body ends.

    Its class and its attributes stay as they are, the iterator apart. Returns whether it could be done.

    Args:
        response: the response.
        request: the request, whose scope will have been left by then.
        wanted: whether there will be a body at all; ``HEAD`` has none.
    """
    source: Any = getattr(response, "_iterator", None)
    closers = getattr(response, "_resource_closers", None)
    if source is None or not isinstance(closers, list):
        return False
    if isinstance(source, WatchedBody):  # the body of a response that is given out once more
        source = source.source
    # A file may be handed to the server (wsgi.file_wrapper) and then never be asked for here.
    unread_is_whole = not wanted or getattr(response, "file_to_stream", None) is not None
    kind = _AsyncBody if response.is_async else _Body  # type: ignore[attr-defined]
    body = kind(source, request, response.status_code, unread_is_whole=unread_is_whole)
    response._iterator = body  # type: ignore[attr-defined]
    closers.append(body.close)
    return True


class WatchedBody(Generic[_Source]):
    """What a synchronous and an asynchronous body share: all but how the next piece is asked for."""

    __slots__ = ("_request", "_started", "_status", "_unread_is_whole", "source")

    def __init__(self, source: _Source, request: RequestEvents, status: int, *, unread_is_whole: bool) -> None:
        self.source: _Source | None = source
        self._request = request
        self._status = status
        self._unread_is_whole = unread_is_whole
        self._started = False

    def _piece(self) -> "_Piece":
        self._started = True
        return _Piece(self._request, self._status)

    def close(self) -> None:
        """End the request, if its body's end has not; the response's last closer, which runs inside the scope."""
        if inspect.isasyncgen(self.source):
            # Django does not close it. Its event loop does, in the context in which the last reference goes: this one.
            self.source = None
        self._request.end(self._status if self._unread_is_whole and not self._started else None)

    def __del__(self) -> None:
        # A middleware outside of ours may put another response in this one's place, and then nobody closes this one.
        try:
            if not self._request.scope.closed:
                self._abandon()
        except Exception:  # noqa: S110 - collected while the interpreter ends: what is needed may be gone
            pass

    def _abandon(self) -> None:
        outside = self._request.scope.resume()
        try:
            self.source = None  # a generator ends in the context in which its last reference goes
            self._request.end(None)
        finally:
            self._request.scope.pause(outside)


class _Body(WatchedBody[Iterator[Any]]):
    """A synchronous body."""

    __slots__ = ()

    def __iter__(self) -> "_Body":
        return self

    def __next__(self) -> Any:
        if self.source is None:
            raise StopIteration
        with self._piece():
            return next(self.source)


class _AsyncBody(WatchedBody[AsyncIterator[Any]]):
    """An asynchronous body."""

    __slots__ = ()

    def __aiter__(self) -> "_AsyncBody":
        return self

    async def __anext__(self) -> Any:
        if self.source is None:
            raise StopAsyncIteration
        with self._piece():
            return await anext(self.source)


class _Piece:
    """The time in which one piece is made: spent inside the request's scope. The last one ends the request."""

    __slots__ = ("_outside", "_request", "_status")

    def __init__(self, request: RequestEvents, status: int) -> None:
        self._request = request
        self._status = status

    def __enter__(self) -> None:
        self._outside: Any = self._request.scope.resume()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        is_here = self._request.scope.is_entered
        try:
            if isinstance(error, StopIteration | StopAsyncIteration):
                self._request.end(self._status)
            elif error is not None:
                self._request.end(self._status if note_failure(self._request.scope, error) else None)
        finally:
            if is_here:
                self._request.scope.pause(self._outside)
