"""The Django middleware, as ``MIDDLEWARE`` names it. What it does is in `dtx_telemetry.http`."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.apps import apps
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from . import startup
from .guard import never_raises
from .http import hooks, requests
from .logging import restore

__all__ = ["TelemetryMiddleware"]

_Response = HttpResponseBase | Awaitable[HttpResponseBase]


class TelemetryMiddleware:
    """Binds ``request.id``, ``user.id`` and labels for each request and logs how it ended.

    Belongs first in ``MIDDLEWARE``. Synchronous in a synchronous chain, asynchronous in an asynchronous one, without a hop.

    Args:
        get_response: what Django hands each middleware: the rest of the chain.

    Raises:
        ImproperlyConfigured: the app is not in ``INSTALLED_APPS``, and a setting is wrong.

    .. versionadded:: 0.1.0
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        # Django adapts a hook that is not of the handler's kind by a hop to a thread.
        self.process_view = _aprocess_view if self._is_async else _process_view
        if not apps.is_installed("dtx_telemetry"):
            startup.init_without_app()
        _prepare()

    def __call__(self, request: HttpRequest) -> _Response:
        """Serve *request* in a scope of its own."""
        if self._is_async:
            return self._acall(request)
        telemetry = requests.begin(request)
        if telemetry is None:
            return self.get_response(request)  # type: ignore[no-any-return]
        with telemetry:
            response = self.get_response(request)
            if look_up := telemetry.note_route_and_user(request):
                telemetry.bind_user(look_up)
            return telemetry.answer(request, response)

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        telemetry = requests.begin(request)
        if telemetry is None:
            return await self.get_response(request)  # type: ignore[no-any-return]
        with telemetry:
            response = await self.get_response(request)
            if look_up := telemetry.note_route_and_user(request):
                await telemetry.abind_user(look_up)
            return telemetry.answer(request, response)


@never_raises
def _prepare() -> None:
    restore()
    hooks.install()


def _process_view(request: HttpRequest, *_: Any) -> None:
    """Note the route and bind the user before the view runs, when every middleware has had its say about them."""
    telemetry = request.__dict__.get(requests.ATTRIBUTE)
    if telemetry and (look_up := telemetry.note_route_and_user(request)):
        telemetry.bind_user(look_up)


async def _aprocess_view(request: HttpRequest, *_: Any) -> None:
    telemetry = request.__dict__.get(requests.ATTRIBUTE)
    if telemetry and (look_up := telemetry.note_route_and_user(request)):
        await telemetry.abind_user(look_up)
