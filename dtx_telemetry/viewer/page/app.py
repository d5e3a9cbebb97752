"""The page's ASGI application."""

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ..errors import UsageError
from .detail import Asked, detail, line_as_json
from .gate import Gate
from .listing import Listing
from .live import Live
from .reports import report_errors, report_slow
from .search import Search

__all__ = ["make_app"]

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_INDEX = "index.html"
_MOST_LOOSE = 500

_Answer = Callable[[Request], Awaitable[Response]]


def make_app(live: Live, port: int) -> Starlette:
    """Return the application that shows *live* on *port*."""
    assets = {asset.name: asset.read_bytes() for asset in files(__package__).joinpath("static").iterdir()}

    async def asset(request: Request) -> Response:
        name = request.path_params.get("name", _INDEX)
        if name not in assets:
            return Response(status_code=404)
        return Response(assets[name], media_type=_TYPES[name.rpartition(".")[2]])

    answers = _Answers(live)
    asked = (answers.rows, answers.life, answers.loose, answers.errors, answers.slow)
    routes = [Route(f"/{answer.__name__}", _explained(answer)) for answer in asked]
    return Starlette(
        routes=[Route("/", asset), Route("/static/{name}", asset), *routes], middleware=[Middleware(Gate, port=port)]
    )


def _explained(answer: _Answer) -> _Answer:
    """Return *answer*, which says what is wrong with a filter that is not understood."""

    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except UsageError as error:
            return PlainTextResponse(str(error), 400)

    return answered


class _Answers:
    """What the page's script asks for."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._listing = Listing(live)

    async def rows(self, request: Request) -> Response:
        query = request.query_params
        version = query.get("version", "")
        number = int(version) if version.isdecimal() else 0
        news = await self._listing.news(query.get("run", ""), number, query.get("filter", ""), query.get("id", ""))
        return _json(news)

    async def life(self, request: Request) -> Response:
        """Answer with the life that has an id that begins as asked for, if there is one such."""
        query = request.query_params
        identifier, wanted = query.get("id", ""), query.get("find", "")
        found = self._live.store.find(identifier, 2) if identifier else []
        if len(found) != 1:
            return Response(status_code=409 if found else 404)
        asked = Asked(frozenset(query.getlist("open")), query.get("queries", ""), Search(wanted) if wanted else None)
        return _json(detail(found[0], asked))

    async def loose(self, request: Request) -> Response:
        """Answer with the newest lines that belong to no request."""
        search = Search(request.query_params.get("filter", ""))
        unbound = self._live.store.unbound
        kept = [] if unbound is None else unbound.lines()
        lines = sorted(filter(search.line_fits, kept), key=lambda line: line.time, reverse=True)
        shown = [line_as_json(line) for line in lines[:_MOST_LOOSE]]
        dropped = 0 if unbound is None else unbound.dropped
        return _json({"lines": shown, "matches": len(lines), "kept": len(kept), "dropped": dropped})

    async def errors(self, request: Request) -> Response:
        return _json(await report_errors(self._live, Search(request.query_params.get("filter", ""))))

    async def slow(self, request: Request) -> Response:
        return _json(await report_slow(self._live, Search(request.query_params.get("filter", ""))))


def _json(content: Any) -> Response:
    return Response(content if isinstance(content, bytes) else orjson.dumps(content), media_type="application/json")
