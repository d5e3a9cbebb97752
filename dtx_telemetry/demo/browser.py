"""The person who clicks: logs in by HTTP, watches by WebSocket, and picks."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from http.cookiejar import CookieJar
from typing import Any, NoReturn
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from .errors import DemoError
from .story import HERO, PATH, SOCKET_PATH, USERNAME

__all__ = ["Browser"]


class Browser:
    """A client with cookies, who waits for an answer until *deadline*, on the clock of ``time.monotonic``.

    Args:
        ports: the web server's and that for WebSockets.
        deadline: when to give up.
        check: raises if an answer can come no more.
    """

    def __init__(self, ports: tuple[int, int], deadline: float, check: Callable[[], None]) -> None:
        self._web = f"http://127.0.0.1:{ports[0]}"
        self._socket_port = ports[1]
        self._deadline = deadline
        self._check = check
        self._cookies = CookieJar()
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(self._cookies))

    def log_in(self, password: str) -> None:
        """Log in, by the page's own form."""
        self._request("/")
        self._request("/login/", {"username": USERNAME, "password": password})
        if "sessionid" not in self._cookie():
            raise DemoError("the login gave no session")

    def click(self, request_id: str) -> None:
        """Pick the hero, under an id of one's own."""
        answered = self._request(PATH, {"hero": HERO}, {"X-Request-ID": request_id})
        if answered != request_id:
            raise DemoError(f"the response has the id {answered!r}, the request had {request_id!r}")

    @contextmanager
    def watch(self) -> Generator[ClientConnection]:
        """Have the WebSocket open for the block."""
        uri = f"ws://127.0.0.1:{self._socket_port}{SOCKET_PATH}"
        headers, origin = {"Cookie": self._cookie()}, Origin(self._web)
        with ExitStack() as stack:
            try:
                # With a socket made here no proxy of the environment's is asked.
                found = socket.create_connection(("127.0.0.1", self._socket_port))
                opening = connect(uri, sock=found, origin=origin, additional_headers=headers, open_timeout=self._left())
                connection = stack.enter_context(opening)
            except (OSError, WebSocketException) as error:
                self._give_up(f"the WebSocket {SOCKET_PATH}", error)
            yield connection

    def receive(self, connection: ClientConnection) -> Any:
        """Return the next message that is pushed, or ``None`` if none came in time."""
        while self._left() > 0:
            try:
                return json.loads(connection.recv(timeout=0.2))
            except TimeoutError:
                self._check()
            except (OSError, ValueError, WebSocketException) as error:
                self._give_up("the pushed message", error)
        return None

    def _request(self, path: str, form: dict[str, str] | None = None, headers: dict[str, str] | None = None) -> str | None:
        """Return the id that the response to a GET, or to a POST of *form*, has."""
        data = None if form is None else urlencode(form).encode()
        token = {cookie.name: cookie.value or "" for cookie in self._cookies}.get("csrftoken", "")
        request = Request(self._web + path, data, {"X-CSRFToken": token, **(headers or {})})  # noqa: S310 - the demo's own
        try:
            with self._opener.open(request, timeout=max(self._left(), 0.1)) as response:
                response.read()
                request_id: str | None = response.headers["X-Request-ID"]
                return request_id
        except HTTPError as error:
            self._check()
            raise DemoError(f"{path} was answered with {error.code}") from error
        except (OSError, http.client.HTTPException) as error:
            self._give_up(path, error)

    def _cookie(self) -> str:
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._cookies)

    def _left(self) -> float:
        return self._deadline - time.monotonic()

    def _give_up(self, what: str, error: Exception) -> NoReturn:
        """Tell the likelier reason: a server that died, else what was seen here."""
        time.sleep(0.2)  # for a server that is just dying to be dead
        self._check()
        raise DemoError(f"{what}: {type(error).__name__}: {error}") from error
