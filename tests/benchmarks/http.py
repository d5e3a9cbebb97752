"""What a request costs more than with bare Django: with us and with our peers; WSGI and ASGI.

The whole handler is called in-process. Everybody logs JSON to the null device. The project has the middleware of a new one,
the view is as small as it can be, and nobody is logged in.
"""

import asyncio
import gc
import io
from collections.abc import Callable, Iterator
from typing import Any

import django
import structlog
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

from .harness import Comparison, Costs, Ratio, Subject, compare

Work = Callable[[], object]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages"]
SUBJECTS = {
    "bare Django": (None, None),
    "dtx_telemetry": ("dtx_telemetry", "dtx_telemetry.middleware.TelemetryMiddleware"),
    "django-structlog": ("django_structlog", "django_structlog.middlewares.RequestMiddleware"),
    "django-guid": ("django_guid", "django_guid.middleware.guid_middleware"),
    "OpenTelemetry": (None, None),  # puts its middleware there by itself
}
#: Requests that `sleepers` serves at once.
SLEEPERS = 200
CORRELATION_ID = "asgi-correlation-id"  # a middleware around an ASGI application, not one of Django's


def comparisons(rounds: int) -> Iterator[Comparison]:
    """Yield the tables of this module."""
    for kind, names in (("wsgi", [*SUBJECTS]), ("asgi", [*SUBJECTS, CORRELATION_ID])):
        subjects = [Subject(name, f"{__name__}:{kind}", (name,)) for name in names]
        ratios = {f"dtx_telemetry adds, to what {name} adds": _added(name) for name in names[2:]}
        yield compare(f"a request over {kind.upper()}", subjects, ratios, rounds=rounds)


def _added(name: str) -> Ratio:
    def ratio(costs: Costs) -> float:
        bare = costs["bare Django"]
        return (costs["dtx_telemetry"] - bare) / (costs[name] - bare)

    return ratio


def wsgi(subject: str) -> Work:
    """Return what serves one request by the WSGI handler."""
    _set_up(subject, APPS, MIDDLEWARE)
    return wsgi_work()


def wsgi_work() -> Work:
    """The same, in a process that is set up."""
    from django.core.handlers.wsgi import WSGIHandler

    handler = WSGIHandler()
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/api/tournaments/5/",
        "QUERY_STRING": "",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.input": io.BytesIO(),
        "wsgi.url_scheme": "http",
    }

    def work() -> None:
        response = handler(dict(environ), _start_response)
        b"".join(response)
        response.close()

    return work


def asgi(subject: str) -> Work:
    """Return what serves one request by the ASGI handler's chain; no middleware but the measured one is in it."""
    _set_up(subject, APPS, [])
    return asgi_work(correlated=subject == CORRELATION_ID)


def asgi_work(*, correlated: bool = False) -> Work:
    """The same, in a process that is set up.

    What Django does around the chain in threads of its own (signals, closing) is the same for all, takes ten times as long and
    varies by more than what is measured: it is left out.
    """
    from django.core.handlers.asgi import ASGIHandler, ASGIRequest

    handler = ASGIHandler()
    scope = _asgi_scope("/api/tournaments/5/async/")
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        response = await handler.get_response_async(ASGIRequest(scope, io.BytesIO()))
        assert response.status_code == 200

    if not correlated:
        return lambda: loop.run_until_complete(serve())
    from asgi_correlation_id import CorrelationIdMiddleware

    async def app(*_: Any) -> None:
        await serve()

    around = CorrelationIdMiddleware(app)
    return lambda: loop.run_until_complete(around(scope, _nothing, _nothing))


def sleepers(subject: str) -> Work:
    """Return what serves `SLEEPERS` requests at once by the whole ASGI handler, each of which sleeps."""
    _set_up(subject, APPS, [])
    from django.core.handlers.asgi import ASGIHandler

    handler = ASGIHandler()
    scope = _asgi_scope("/api/tournaments/5/sleep/")
    loop = asyncio.new_event_loop()

    async def serve_one() -> None:
        messages = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            return messages.pop() if messages else await loop.create_future()  # nobody hangs up

        await handler(dict(scope), receive, _nothing)

    async def serve_all() -> None:
        await asyncio.gather(*[serve_one() for _ in range(SLEEPERS)])

    return lambda: loop.run_until_complete(serve_all())


def _asgi_scope(path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }


async def _nothing(*_: Any) -> None:
    return None


def _start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
    return None


def view(request: Any, tournament_id: int) -> HttpResponse:
    return HttpResponse("ok")


async def async_view(request: Any, tournament_id: int) -> HttpResponse:
    return HttpResponse("ok")


async def sleeping_view(request: Any, tournament_id: int) -> HttpResponse:
    await asyncio.sleep(0.1)
    return HttpResponse("ok")


urlpatterns = [
    path("api/tournaments/<int:tournament_id>/", view),
    path("api/tournaments/<int:tournament_id>/async/", async_view),
    path("api/tournaments/<int:tournament_id>/sleep/", sleeping_view),
]


def _set_up(subject: str, apps: list[str], middleware: list[str]) -> None:
    app, own = SUBJECTS.get(subject, (None, None))
    settings.configure(
        SECRET_KEY="benchmarks",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=[*([app] if app else []), *apps],
        MIDDLEWARE=[*([own] if own else []), *middleware],
        LOGGING={} if app == "dtx_telemetry" else LOGGING,
    )
    if app == "django_structlog":
        configure_structlog()
    if subject == "OpenTelemetry":
        _configure_opentelemetry()
    django.setup()
    # What a subject imports (we load Celery where it is installed) is no part of a request: the collector need not walk it.
    gc.collect()
    gc.freeze()


LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "structlog.stdlib.ProcessorFormatter", "processor": structlog.processors.JSONRenderer()},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}


def _configure_opentelemetry() -> None:
    """With a tracer that records every request and exports none."""
    from opentelemetry import trace
    from opentelemetry.instrumentation.django import DjangoInstrumentor
    from opentelemetry.sdk.trace import TracerProvider

    trace.set_tracer_provider(TracerProvider())
    DjangoInstrumentor().instrument()


def configure_structlog() -> None:
    """As django-structlog's documentation has it."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.processors.UnicodeDecoder(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
