"""Bodies made piece by piece: each piece is made inside the request's scope, and the end of the last ends the request."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any, Generic, TypeVar

from django.http.response import HttpResponseBase, StreamingHttpResponse

from ..context import run_in
from ..guard import never_raises
from .events import ServedRequest, note_failure

__all__ = ["WatchedBody", "aiterating_inside", "iterating_inside", "watch"]

_Source = TypeVar("_Source", Iterator[Any], AsyncIterator[Any])


@never_raises
def watch(response: HttpResponseBase, request: ServedRequest, *, wanted: bool, is_asgi: bool) -> bool:
    """Make the streaming *response* end *request* as its body ends.

    Its class and its attributes stay as they are, the iterator apart. Returns whether it could be done.

    Args:
        response: the response.
        request: the request, whose scope will have been left by then.
        wanted: whether there will be a body at all. ``HEAD`` has none.
        is_asgi: whether the server sends the status before it asks for the first piece, as it does over ASGI.
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
    body = kind(source, request, response.status_code, unread_is_whole=unread_is_whole, is_asgi=is_asgi)
    response._iterator = body  # type: ignore[attr-defined]
    closers.append(body.close)
    return True


class WatchedBody(Generic[_Source]):
    """What a synchronous and an asynchronous body share: all but how the next piece is asked for."""

    __slots__ = ("_is_asgi", "_is_sent", "_request", "_started", "_status", "_unread_is_whole", "source")

    def __init__(self, source: _Source, request: ServedRequest, status: int, *, unread_is_whole: bool, is_asgi: bool) -> None:
        self.source: _Source | None = source
        self._request = request
        self._status = status
        self._unread_is_whole = unread_is_whole
        self._started = False
        #: Over WSGI the status goes out with the first piece (PEP 3333); without one the server answers 500.
        self._is_asgi = self._is_sent = is_asgi

    @property
    def request(self) -> ServedRequest:
        """The request that is answered."""
        return self._request

    def _note_end(self, error: BaseException) -> None:
        """End the request with what came in place of a piece: the end of the body, or an exception."""
        if isinstance(error, StopIteration | StopAsyncIteration):
            self._request.end(self._status)
        else:
            self._fail(error, is_sent=self._is_sent)

    def note_failure_outside(self, error: Exception, *, is_sent: bool) -> None:
        """End the request with what was raised by what Django or a middleware does with a piece, not by the body.

        Args:
            error: the exception.
            is_sent: whether a piece has reached the server before.
        """
        if not isinstance(error, StopIteration | StopAsyncIteration) and not self._request.scope.ended:
            self._request.run(self._fail, error, is_sent=is_sent or self._is_asgi)

    def _fail(self, error: BaseException, *, is_sent: bool) -> None:
        self._request.end((self._status if is_sent else 500) if note_failure(self._request.scope, error) else None)

    def close(self) -> None:
        """End the request, if its body's end has not. It is the response's last closer, and runs inside the scope."""
        if inspect.isasyncgen(self.source):
            # Django does not close it. Its event loop does, in the context in which the last reference goes: this one.
            self.source = None
        self._request.end(self._status if self._unread_is_whole and not self._started else None)

    def __del__(self) -> None:
        # A middleware outside of ours may put another response in this one's place, and then no one closes this one.
        try:
            if not self._request.scope.ended:
                self._request.run(self._abandon)
        except Exception:  # noqa: S110 - collected while the interpreter ends: what is needed may be gone
            pass

    def _abandon(self) -> None:
        self.source = None  # a generator ends in the context in which its last reference goes
        self._request.end(None)


class _Body(WatchedBody[Iterator[Any]]):
    """A synchronous body."""

    __slots__ = ()

    def __iter__(self) -> "_Body":
        return self

    def __next__(self) -> Any:
        return self._request.run(self._make)

    def _make(self) -> Any:
        if self.source is None:
            raise StopIteration
        self._started = True
        try:
            piece = next(self.source)
        except BaseException as error:
            self._note_end(error)
            raise
        self._is_sent = True
        return piece


class _AsyncBody(WatchedBody[AsyncIterator[Any]]):
    """An asynchronous body."""

    __slots__ = ()

    def __aiter__(self) -> "_AsyncBody":
        return self

    def __anext__(self) -> Awaitable[Any]:
        context = self._request.context_elsewhere()
        return self._make() if context is None else run_in(context, self._make())

    async def _make(self) -> Any:
        if self.source is None:
            raise StopAsyncIteration
        self._started = True
        try:
            piece = await anext(self.source)
        except BaseException as error:
            self._note_end(error)
            raise
        self._is_sent = True
        return piece


def iterating_inside(iterate: Any) -> Any:
    """Wrap ``StreamingHttpResponse.__iter__``: what it raises is how the request ends, though no piece of the body failed.

    Django encodes each piece with the response's charset, for instance, which may not have a character of it.
    """

    def iterate_inside(self: StreamingHttpResponse) -> Iterator[Any]:
        body = _body_of(self)
        if body is None:
            return iterate(self)  # type: ignore[no-any-return]
        try:
            return _Pieces(iterate(self), body)
        except Exception as error:
            body.note_failure_outside(error, is_sent=False)
            raise

    return iterate_inside


def aiterating_inside(iterate: Any) -> Any:
    """Wrap ``StreamingHttpResponse.__aiter__`` alike. For a synchronous body it warns, and makes all pieces at once."""

    def iterate_inside(self: StreamingHttpResponse) -> AsyncIterator[Any]:
        pieces: AsyncIterator[Any] = iterate(self)
        body = _body_of(self)
        return pieces if body is None else _AsyncPieces(pieces, body)

    return iterate_inside


@never_raises
def _body_of(response: StreamingHttpResponse) -> WatchedBody[Any] | None:
    """Return the body that is watched, which a middleware outside of ours may have wrapped in another."""
    for closer in response._resource_closers:  # type: ignore[attr-defined]
        if isinstance(body := getattr(closer, "__self__", None), WatchedBody):
            return body
    return None


class _Pieces:
    """What the server gets of a synchronous body, piece by piece."""

    __slots__ = ("_body", "_is_sent", "_pieces")

    def __init__(self, pieces: Iterator[Any], body: WatchedBody[Any]) -> None:
        self._pieces = pieces
        self._body = body
        self._is_sent = False

    def __iter__(self) -> "_Pieces":
        return self

    def __next__(self) -> Any:
        try:
            piece = next(self._pieces)
        except Exception as error:
            self._body.note_failure_outside(error, is_sent=self._is_sent)
            raise
        self._is_sent = True
        return piece


class _AsyncPieces:
    """The same of an asynchronous body. Each step is made inside the request."""

    __slots__ = ("_body", "_pieces")

    def __init__(self, pieces: Any, body: WatchedBody[Any]) -> None:
        self._pieces = pieces
        self._body = body

    def __aiter__(self) -> "_AsyncPieces":
        return self

    def __anext__(self) -> Awaitable[Any]:
        return self._step(self._make())

    def aclose(self) -> Awaitable[Any]:
        """Close the iterator. Django does it at the end of the response."""
        return self._step(self._pieces.aclose())

    async def _make(self) -> Any:
        try:
            return await self._pieces.__anext__()
        except Exception as error:
            self._body.note_failure_outside(error, is_sent=True)
            raise

    def _step(self, step: Any) -> Awaitable[Any]:
        context = self._body.request.context_elsewhere()
        return step if context is None else run_in(context, step)
