"""Who may ask: the page itself, and nobody else's.

A page elsewhere can have a browser on this machine send requests to loopback, also under a name of its own that it lets resolve
to loopback (DNS rebinding). So the ``Host`` has to be loopback's, and a request that another origin caused is refused.
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["POLICY", "Gate"]

_HOSTS = ("127.0.0.1", "localhost", "[::1]")
#: Nothing but the page's own files; no text becomes markup, whatever a script tries.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


class Gate:
    """Refuses what other origins ask for, and sends what keeps a browser from doing more than it should.

    Args:
        app: whom it lets the others to.
        port: on which that is reached.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._hosts = {f"{host}:{port}" for host in _HOSTS} | ({*_HOSTS} if port == 80 else set())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Headers(scope=scope), scope["path"])

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await (self._app if refusal is None else refusal)(scope, receive, send_safely)

    def _refusal(self, headers: Headers, path: str) -> PlainTextResponse | None:
        host = headers.getlist("host")
        if len(host) != 1 or host[0].lower() not in self._hosts:
            return PlainTextResponse("This page answers to its loopback address only.\n", 421)
        origin = headers.get("origin")
        if origin is not None and origin.lower() != f"http://{host[0].lower()}":
            return _foreign()
        site = headers.get("sec-fetch-site", "none")
        # A link somewhere may lead to the page, which holds nothing by itself.
        follows_link = (
            path == "/" and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        )
        return None if site in ("same-origin", "none") or follows_link else _foreign()


def _foreign() -> PlainTextResponse:
    return PlainTextResponse("Another origin asks.\n", 403)
