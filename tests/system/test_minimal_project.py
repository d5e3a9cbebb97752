"""A project that only adds the app, the middleware, the import and the decorator, with no other line changed."""

import textwrap

import httpx
import pytest
from websockets.sync.client import connect

from tests.support.lines import with_fields
from tests.support.processes import ROOT

#: The project before: no line of it knows of telemetry.
PROJECT = {
    "settings.py": """
        import os

        SECRET_KEY = "generated"
        ALLOWED_HOSTS = ["*"]
        ROOT_URLCONF = "dota.urls"
        INSTALLED_APPS = [
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.sessions",
        ]
        MIDDLEWARE = [
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ]
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
        CHANNEL_LAYERS = {
            "default": {
                "BACKEND": "channels_redis.core.RedisChannelLayer",
                "CONFIG": {"hosts": [{"address": os.environ["VALKEY"], "socket_timeout": 15}]},
            }
        }
    """,
    "celery.py": """
        import os

        from celery import Celery

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dota.settings")
        app = Celery("dota", broker=os.environ["VALKEY"])
        app.conf.broker_connection_retry_on_startup = True
        app.autodiscover_tasks(["dota"])
    """,
    "__init__.py": """
        from .celery import app as celery_app

        __all__ = ["celery_app"]
    """,
    "tasks.py": """
        import logging

        from asgiref.sync import async_to_sync
        from celery import shared_task
        from channels.layers import get_channel_layer

        @shared_task
        def announce(draft):
            logging.getLogger(__name__).info("announcing")
            async_to_sync(get_channel_layer().group_send)("draft", {"type": "picked", "draft": draft})
    """,
    "views.py": """
        import logging

        from django.http import HttpResponse

        from .tasks import announce

        def pick(request, tournament, draft):
            logging.getLogger(__name__).info("picking")
            announce.delay(draft)
            return HttpResponse("picked")

        def fail(request):
            raise RuntimeError("no mana")
    """,
    "urls.py": """
        from django.urls import path

        from . import views

        urlpatterns = [path("api/tournaments/<int:tournament>/draft/<int:draft>/", views.pick), path("api/fail/", views.fail)]
    """,
    "consumers.py": """
        import logging

        from channels.generic.websocket import JsonWebsocketConsumer

        class DraftConsumer(JsonWebsocketConsumer):
            groups = ["draft"]

            def picked(self, message):
                logging.getLogger(__name__).info("pushing")
                self.send_json(message)
    """,
    "asgi.py": """
        import os

        from channels.routing import ProtocolTypeRouter, URLRouter
        from django.core.asgi import get_asgi_application
        from django.urls import path

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dota.settings")
        http = get_asgi_application()

        from .consumers import DraftConsumer

        websocket = URLRouter([path("ws/draft/<int:draft>/", DraftConsumer.as_asgi())])
        application = ProtocolTypeRouter({"http": http, "websocket": websocket})
    """,
}
#: What is added: by file, the line after which, and the line.
ADDED = [
    ("settings.py", "INSTALLED_APPS = [", '    "dtx_telemetry",'),
    ("settings.py", "MIDDLEWARE = [", '    "dtx_telemetry.middleware.TelemetryMiddleware",'),
    ("celery.py", "from celery import Celery", "import dtx_telemetry.celery"),
    (
        "consumers.py",
        "from channels.generic.websocket import JsonWebsocketConsumer",
        "from dtx_telemetry import telemetry_consumer",
    ),
    ("consumers.py", "from dtx_telemetry import telemetry_consumer\n", "@telemetry_consumer"),
]


@pytest.fixture
def project(tmp_path, processes, valkey_url):
    """Write the project with what is added, and let the processes run it."""
    (tmp_path / "dota").mkdir()
    texts = {name: textwrap.dedent(text).lstrip() for name, text in PROJECT.items()}
    for name, after, line in ADDED:
        assert texts[name].count(after) == 1
        texts[name] = texts[name].replace(after, f"{after}\n{line}")
    for name, text in texts.items():
        (tmp_path / "dota" / name).write_text(text)
    processes.environ |= {"PYTHONPATH": f"{tmp_path}:{ROOT}", "DJANGO_SETTINGS_MODULE": "dota.settings", "VALKEY": valkey_url}
    return tmp_path


def test_it_gets_everything(project, processes):
    """One id from view to task to consumer, on lines of stdlib logging too, with labels and events, as JSON, none twice."""
    server = processes.uvicorn(app="dota.asgi:application", cwd=project)
    worker = processes.worker(app="dota", pool="prefork", cwd=project)
    address = f"127.0.0.1:{server.wait_for_port()}"

    with connect(f"ws://{address}/ws/draft/12/", open_timeout=180, proxy=None) as socket:
        answer = httpx.post(
            f"http://{address}/api/tournaments/5/draft/12/?secret=1", headers={"X-Request-ID": "click"}, timeout=180
        )
        assert socket.recv(timeout=180) == '{"type": "picked", "draft": 12}'
        assert httpx.get(f"http://{address}/api/fail/", headers={"X-Request-ID": "failing"}, timeout=180).status_code == 500
    server.wait_for_event("ws_disconnected")
    worker.wait_for_event("task_completed")
    for process in (server, worker):
        process.stop()

    assert answer.headers["X-Request-ID"] == "click"
    bound = {"request.id": "click", "labels": ["tournament", "draft"], "tournament.id": 5, "draft.id": 12}
    theirs = {
        server: ["picking", "task_published", "request_completed", "pushing"],
        worker: ["task_started", "announcing", "task_completed"],
    }
    for process, events in theirs.items():
        lines = with_fields(process.lines, request_id="click")
        seen = [line["event"] for line in lines]
        assert sorted(event for event in seen if event in events) == sorted(events), process.text
        assert all(bound.items() <= line.items() for line in lines)
    assert server.other == []
    failed = [line for line in server.lines if "exception" in line]
    assert [(line["event"], line["request.id"]) for line in failed] == [("request_failed", "failing")]
    connected, disconnected = (line for line in server.lines if line["event"].startswith("ws_"))
    (pushing,) = [line for line in server.lines if line["event"] == "pushing"]
    assert connected["ws.conn_id"] == disconnected["ws.conn_id"] == pushing["ws.conn_id"]
    assert connected["request.id"] == disconnected["request.id"] != "click"
    assert "secret" not in server.text.partition("--- not JSON:")[0]
