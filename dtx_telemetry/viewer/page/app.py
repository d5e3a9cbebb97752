"""The page's ASGI application."""

from importlib.resources import files

import orjson
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from .detail import detail
from .gate import Gate
from .live import Live

__all__ = ["make_app"]

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_INDEX = "index.html"


def make_app(live: Live, port: int) -> Starlette:
    """Return the application that shows *live* on *port*."""

    async def updates(request: Request) -> Response:
        last = request.headers.get("last-event-id", "")
        return StreamingResponse(live.updates(last), media_type="text/event-stream")

    async def life(request: Request) -> Response:
        """Answer with the life whose ``request.id`` or ``trace_id`` begins as asked for, if there is one such."""
        identifier = request.query_params.get("id", "")
        found = live.store.find(identifier, 2) if identifier else []
        if len(found) != 1:
            return Response(status_code=409 if found else 404)
        return Response(orjson.dumps(detail(found[0])), media_type="application/json")

    assets = {asset.name: asset.read_bytes() for asset in files(__package__).joinpath("static").iterdir()}

    async def asset(request: Request) -> Response:
        name = request.path_params.get("name", _INDEX)
        if name not in assets:
            return Response(status_code=404)
        return Response(assets[name], media_type=_TYPES[name.rpartition(".")[2]])

    return Starlette(
        routes=[
            Route("/", asset),
            Route("/static/{name}", asset),
            Route("/updates", updates),
            Route("/life", life),
        ],
        middleware=[Middleware(Gate, port=port)],
    )
