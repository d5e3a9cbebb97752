"""Paths of the views in ``http_views``, besides the project's own."""

from django.urls import include, path, re_path

from . import http_views as views

_synchronous = {**views.PLAIN, **views.USERS, **views.STREAMS}
_asynchronous = {
    **{name: views.asynchronous(view) for name, view in views.PLAIN.items()},
    **views.ASYNC_USERS,
    **views.ASYNC_STREAMS,
    "slow": views.aslow,
    "slow_stream": views.aslow_stream,
}

urlpatterns = [
    path("", include("tests.project.urls")),
    *(path(f"http/{name}/", view) for name, view in _synchronous.items()),
    *(path(f"http/async/{name}/", view) for name, view in _asynchronous.items()),
    path("http/slow/", views.slow),
    path("http/call/", views.call),
    path("api/tournaments/<int:tournament_id>/busy/", lambda request, tournament_id: views.busy(request)),
    re_path(r"^http/pattern/(?P<number>[0-9]+)/$", lambda request, number: views.ok(request)),
]
