"""A whole Django project with a LOGGING of its own, set up twice as servers do, with a view that captures its output."""

import json
import textwrap
from pathlib import Path

from tests.support.lines import parse_lines
from tests.support.processes import Processes, run_python
from tests.system.test_servers import Server

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


RUN_BY_A_SCRIPT = """
    import logging
    from tests.project.asgi import application
    import uvicorn
    uvicorn.run(application, host="127.0.0.1", port=0)
"""


def test_a_server_that_configures_logging_after_the_application_was_loaded(processes: Processes) -> None:
    """``uvicorn.run(app)``: from the first request on there is nothing but our lines, and no access line."""
    environ = {"DTX_TEST_SETTINGS": json.dumps({"ROOT_URLCONF": "tests.project.http_urls"})}
    process = processes.python("-c", textwrap.dedent(RUN_BY_A_SCRIPT), env=environ)
    server = Server(process)
    for _ in range(2):
        server.get("/http/ok/?token=hunter2")
    process.wait_for_event("request_completed", count=2)
    process.stop()
    assert not process.other, process.text
    assert "hunter2" not in process.text
    assert not [line for line in process.lines if line["logger"] == "uvicorn.access"]


ADDING_HANDLERS = """
    import logging, sys
    from celery import Celery
    from celery.contrib.testing.worker import start_worker
    from celery.signals import after_setup_logger, after_setup_task_logger
    from celery.utils.log import get_task_logger
    import dtx_telemetry.celery

    app = Celery("plain", broker="memory://", backend="cache+memory://")

    @after_setup_logger.connect
    def add_file(logger, loglevel, logfile, format, colorize, **_):
        handler = logging.FileHandler(FOLDER + "/all.log")
        handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
        logger.addHandler(handler)
        logger.addHandler(console)
        print("told", logger.name, type(loglevel).__name__, "%(message)s" in format)

    @after_setup_task_logger.connect
    def add_tasks_file(logger, format, **_):
        logger.addHandler(logging.FileHandler(FOLDER + "/tasks.log"))
        print("told", logger.name, "%(task_name)s" in format)

    console = logging.StreamHandler(sys.stdout)

    @app.task(name="work")
    def work():
        get_task_logger("plain.work").warning("worked")

    with start_worker(app, perform_ping_check=False, loglevel="INFO"):
        work.delay().get(timeout=180)
"""


def test_handlers_that_a_celery_application_adds(tmp_path: Path) -> None:
    """By Celery's signals: they are sent as without us, files get their lines, and a console handler gives way to ours."""
    output = run_python(ADDING_HANDLERS.replace("FOLDER", repr(str(tmp_path))), LOG_FORMAT="json").splitlines()
    told = [text for text in output if text.startswith("told")]
    assert set(told) == {"told root int True", "told celery.task True"}
    lines = parse_lines("\n".join(text for text in output if not text.startswith("told")))
    assert [line["event"] for line in lines].count("worked") == 1
    assert (tmp_path / "tasks.log").read_text().splitlines() == ["worked"]
    assert "plain.work worked" in (tmp_path / "all.log").read_text().splitlines()
