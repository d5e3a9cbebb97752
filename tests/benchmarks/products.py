"""What people would pick for all of it, beside us: lines, traces and metrics of requests and tasks, in one process.

**django-o11y** is one package for all. **django-structlog** beside the instrumentations of OpenTelemetry's contrib is what most
put together. Each is set up as its documentation says, logs JSON to the null device, samples every trace and has its exporters
replaced by ones that drop. The application logs one line of its own in each request and task, by the logger that each names.
"""

import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

from . import celery, http
from .harness import Comparison, Costs, Ratio, Subject, compare
from .otel import set_providers

__all__ = ["comparisons"]

Work = Callable[[], object]
BARE, OURS, O11Y, TOGETHER = "bare", "dtx_telemetry", "django-o11y", "django-structlog and contrib"
KINDS = {"a WSGI request": "wsgi", "an ASGI request": "asgi", "publishing a task": "publisher", "executing a task": "executor"}


def comparisons(rounds: int) -> Iterator[Comparison]:
    """Yield the tables of this module."""
    for title, kind in KINDS.items():
        subjects = [Subject(name, f"{__name__}:{kind}", (name,)) for name in (BARE, OURS, O11Y, TOGETHER)]
        ratios = {f"we add, to what {name} adds": _added(name) for name in (O11Y, TOGETHER)}
        yield compare(f"{title} with lines, traces and metrics", subjects, ratios, rounds=rounds)


def _added(name: str) -> Ratio:
    def ratio(costs: Costs) -> float:
        return (costs[OURS] - costs[BARE]) / (costs[name] - costs[BARE])

    return ratio


def _served(kind: str, name: str) -> Work:
    _set_up(name, "gunicorn")
    return http.wsgi_work() if kind == "wsgi" else http.asgi_work()


def _worked(kind: str, name: str) -> Work:
    _set_up(name, *(("celery", "worker", "-P", "solo") if kind == "executor" else ("gunicorn",)))
    app = celery.make_app()

    def task() -> None:
        _log_line(name)

    if kind == "executor":
        _set_up_worker(name, app)
        work = celery.executor_of(app, task)
    else:
        app.task(name="work", ignore_result=True)(task)  # else contrib ends the span of an unknown one before it is published
        work = celery.publisher_of(app)
    gc.collect()
    gc.freeze()
    return work


wsgi, asgi = partial(_served, "wsgi"), partial(_served, "asgi")
publisher, executor = partial(_worked, "publisher"), partial(_worked, "executor")


def _set_up(name: str, *argv: str) -> None:
    """Set the process up as the one that *argv* would start."""
    sys.argv = list(argv)
    logging.getLogger("celery").setLevel(logging.WARNING)
    settings.configure(
        SECRET_KEY="benchmarks",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=http.APPS,
        MIDDLEWARE=http.MIDDLEWARE,
        PRODUCT=name,
    )
    if name != BARE:
        set_providers()
    {BARE: _set_up_bare, OURS: _set_up_ours, O11Y: _set_up_o11y, TOGETHER: _set_up_together}[name]()
    django.setup()
    gc.collect()
    gc.freeze()


def _set_up_bare() -> None:
    settings.LOGGING = http.LOGGING


def _set_up_ours() -> None:
    os.environ.update(
        LOG_FORMAT="json",
        LOG_LEVELS="celery=WARNING",
        OTEL_ENABLED="true",
        OTEL_LOGS_EXPORTER="none",
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="*",
    )
    settings.INSTALLED_APPS = ["dtx_telemetry", *http.APPS]
    settings.MIDDLEWARE = ["dtx_telemetry.middleware.TelemetryMiddleware", *http.MIDDLEWARE]


def _set_up_o11y() -> None:
    """Set it up by its usage guide: its apps and middleware in their places, tracing and Celery on."""
    settings.DJANGO_O11Y = {"TRACING": {"ENABLED": True, "SAMPLE_RATE": 1.0}, "CELERY": {"ENABLED": True}}
    from django_o11y.logging.setup import build_logging_dict

    settings.LOGGING = build_logging_dict(extra={"loggers": {"app": {"level": "INFO"}}})
    settings.INSTALLED_APPS = ["django_prometheus", "django_o11y", *http.APPS]
    after = http.MIDDLEWARE.index("django.contrib.auth.middleware.AuthenticationMiddleware") + 1
    settings.MIDDLEWARE = [
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        *http.MIDDLEWARE[:after],
        "django_o11y.tracing.middleware.TracingMiddleware",
        "django_o11y.logging.middleware.LoggingMiddleware",
        *http.MIDDLEWARE[after:],
        "django_prometheus.middleware.PrometheusAfterMiddleware",
    ]


def _set_up_together() -> None:
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.instrumentation.django import DjangoInstrumentor

    http.configure_structlog()
    settings.LOGGING = http.LOGGING
    settings.DJANGO_STRUCTLOG_CELERY_ENABLED = True
    settings.INSTALLED_APPS = ["django_structlog", *http.APPS]
    settings.MIDDLEWARE = [*http.MIDDLEWARE, "django_structlog.middlewares.RequestMiddleware"]
    DjangoInstrumentor().instrument()
    CeleryInstrumentor().instrument()


def _set_up_worker(name: str, app: Any) -> None:
    """Do what a boot step or a signal does in a worker."""
    if name == O11Y:
        from django_o11y.tracing.setup import setup_celery_o11y

        setup_celery_o11y(app)
    elif name == TOGETHER:
        celery.connect_peers_worker()


def _log_line(name: str) -> None:
    if name == BARE:
        logging.getLogger("app").info("hero_picked Invoker")
    elif name == OURS:
        from dtx_telemetry import get_logger

        get_logger("app").info("hero_picked", hero="Invoker")
    else:
        import structlog

        structlog.get_logger("app").info("hero_picked", hero="Invoker")


def view(request: Any, tournament_id: int) -> HttpResponse:
    _log_line(settings.PRODUCT)
    return HttpResponse("ok")


async def async_view(request: Any, tournament_id: int) -> HttpResponse:
    _log_line(settings.PRODUCT)
    return HttpResponse("ok")


urlpatterns = [
    path("api/tournaments/<int:tournament_id>/", view),
    path("api/tournaments/<int:tournament_id>/async/", async_view),
]
