"""Requests to the project inside this process: the whole handler, synchronous or asynchronous, with any middleware."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.http import HttpResponseBase
from django.test import AsyncClient, Client, override_settings

__all__ = ["OURS", "URLS", "Answer", "request", "serve"]

URLS = pytest.mark.urls("tests.project.http_urls")
OURS = "dtx_telemetry.middleware.TelemetryMiddleware"


@dataclass
class Answer:
    """A response as a client sees it, its body read.

    Attributes:
        cookies: what is set, without the values that are random or of the moment.
    """

    status: int
    headers: dict[str, str]
    cookies: dict[str, dict[str, Any]]
    body: bytes
    response: HttpResponseBase = field(repr=False, compare=False)

    @property
    def request_id(self) -> str:
        return self.headers["X-Request-ID"]

    def without(self, *headers: str) -> "Answer":
        """Return the same without those headers."""
        kept = {name: value for name, value in self.headers.items() if name not in headers}
        return Answer(self.status, kept, self.cookies, self.body, self.response)


def serve(path: str, **options: Any) -> Answer:
    """Return the answer to a request, see `request`; the body is read and the response closed."""
    response = request(path, **options)
    cookies = {
        name: {key: value for key, value in morsel.items() if key not in {"expires", "max-age"}} | {"empty": not morsel.value}
        for name, morsel in response.cookies.items()
    }
    body = b"" if options.get("method") == "HEAD" else _body(response)
    response.close()
    return Answer(response.status_code, dict(response.items()), cookies, body, response)


def request(
    path: str,
    *,
    is_async: bool = False,
    method: str = "GET",
    session: str | None = None,
    middleware: Iterable[str] | None = None,
    headers: dict[str, str] | None = None,
    **overrides: Any,
) -> HttpResponseBase:
    """Return the response to a request; exceptions become responses as in production. Needs the mark `URLS` for its views.

    Args:
        path: the path, with its query.
        is_async: whether to be ASGI's handler.
        method: the method.
        session: the session cookie.
        middleware: the project's, if none are given.
        headers: of the request.
        overrides: settings.
    """
    if middleware is not None:
        overrides["MIDDLEWARE"] = list(middleware)
    with override_settings(**overrides):
        client: Any = (AsyncClient if is_async else Client)(raise_request_exception=False)
        if session is not None:
            client.cookies[settings.SESSION_COOKIE_NAME] = session
        response: HttpResponseBase
        if is_async:
            response = async_to_sync(_ask)(client, method, path, headers)
        else:
            response = client.generic(method, path, headers=headers)
        return response


async def _ask(client: Any, method: str, path: str, headers: dict[str, str] | None) -> HttpResponseBase:
    response: HttpResponseBase = await client.generic(method, path, headers=headers)
    return response


def _body(response: Any) -> bytes:
    if not response.streaming:
        return bytes(response.content)
    if response.is_async:
        return b"".join(async_to_sync(_collect)(response))
    return b"".join(response)


async def _collect(response: Any) -> list[bytes]:
    return [part async for part in response]
