"""A whole Django project with a LOGGING of its own, set up twice as servers do, with a view that captures its output."""

from pathlib import Path

from tests.support.lines import parse_lines
from tests.support.processes import run_python

PROJECT = """
    import contextlib, io, logging, sys
    import django
    from django.conf import settings
    from django.http import HttpResponse
    from django.urls import path

    def view(request):
        with contextlib.redirect_stdout(io.StringIO()) as captured:
            print("mine")
            logging.getLogger("mysite").warning("in the view")
        return HttpResponse(captured.getvalue())

    urlpatterns = [path("api/games/5/", view)]
    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=["dtx_telemetry"],
        MIDDLEWARE=["dtx_telemetry.middleware.TelemetryMiddleware"],
        LOGGING={
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"context": {"()": "dtx_telemetry.ContextFilter"}},
            "formatters": {"plain": {"format": "%(request.id)s %(name)s %(message)s"}},
            "handlers": {
                "console": {"class": "logging.StreamHandler", "formatter": "plain", "filters": ["context"]},
                "file": {"class": "logging.FileHandler", "filename": FILE, "formatter": "plain", "filters": ["context"]},
            },
            "root": {"handlers": ["file"], "level": "WARNING"},
            "loggers": {"mysite": {"handlers": ["console"], "propagate": False}},
        },
    )
    django.setup()
    from django.core.wsgi import get_wsgi_application
    for _ in range(2):  # each sets up logging once more
        application = get_wsgi_application()
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/api/games/5/", "SERVER_NAME": "x", "SERVER_PORT": "80"}
    environ |= {"wsgi.input": io.BytesIO(), "wsgi.url_scheme": "http", "HTTP_X_REQUEST_ID": "abc"}
    body = b"".join(application(environ, lambda status, headers: None))
    logging.getLogger("mysite").warning("after", extra={"body": body.decode()})
"""


def test_a_project_with_file_and_console_handlers(tmp_path: Path) -> None:
    """Every line comes once, as JSON to stdout; the file gets what it got before; what the view captured is its own."""
    path = tmp_path / "app.log"
    lines = parse_lines(run_python(PROJECT.replace("FILE", repr(str(path)))))
    assert [line["event"] for line in lines] == ["in the view", "request_completed", "after"]
    assert [line.get("request.id") for line in lines] == ["abc", "abc", None]
    assert lines[-1]["body"] == "mine\n"
    assert path.read_text().splitlines() == ["abc dtx_telemetry.middleware request_completed"]  # mysite does not propagate
