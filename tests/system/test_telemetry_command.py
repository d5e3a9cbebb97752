"""``manage.py telemetry``: each mistake, made in a project of its own, is told in words that cure it."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.support.otlp import otlp_collector
from tests.support.ports import reserved_port
from tests.support.processes import Processes
from tests.support.small_project import CELERY_FILES, CHANNELS_FILES, CHANNELS_SETTINGS, SmallProject, write_project

BARE = """
    INSTALLED_APPS = ["dtx_telemetry", "django.contrib.contenttypes"]
    MIDDLEWARE = ["dtx_telemetry.middleware.TelemetryMiddleware", "django.middleware.common.CommonMiddleware"]
    TEMPLATES = []
    ALLOWED_HOSTS = ["dota.example", "*"]
"""
URLS = "urlpatterns = []"
CHANNELS = CHANNELS_SETTINGS.split("CHANNEL_LAYERS")[0]
LAYER = 'CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}'
MIDDLEWARES = """
    from django.http import HttpResponse

    ANSWERS = {"/ping/": lambda request: HttpResponse("pong"), "/team/": lambda request: HttpResponse("radiant")}

    def nothing(request):
        raise LookupError

    class Answering:
        def __init__(self, get_response):
            self.get_response = get_response
        def __call__(self, request):
            return ANSWERS.get(request.path, self.get_response)(request)

    class Raising(Answering):
        def __call__(self, request):
            return (self.get_response if request.method == "GET" else nothing)(request)

    class Harmless(Answering):
        def __call__(self, request):
            response = self.get_response(request)
            return response

    class Swallowing(Answering):
        def __call__(self, request):
            ANSWERS["never"] = self.get_response(request)
            return HttpResponse("no header of anybody's")
"""
FRONT = 'MIDDLEWARE.insert(0, "dota.middlewares.{}")'


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., SmallProject]:
    """Write a small project."""

    def write(settings: str = "", files: Mapping[str, str] | None = None, **environ: str) -> SmallProject:
        texts = {"urls.py": URLS, "middlewares.py": MIDDLEWARES, **(files or {})}
        return write_project(tmp_path, dedent(BARE) + dedent(settings), texts, {"LOG_FORMAT": "json", **environ})

    return write


def report(project: SmallProject, *, mistakes: bool) -> dict[str, list[dict[str, Any]]]:
    """Return what the command found, by part; *mistakes* is what its exit code says of it."""
    done = project.manage("telemetry", "--json", "--timeout", "3")
    assert "Traceback" not in done.stderr, done.stderr
    found = json.loads(done.stdout)
    told = [each["text"] for findings in found["parts"].values() for each in findings if each["state"] == "wrong"]
    assert (done.returncode, found["mistakes"], bool(told)) == (int(mistakes), len(told), mistakes), told
    parts: dict[str, list[dict[str, Any]]] = found["parts"]
    return parts


def the_mistake(project: SmallProject, part: str) -> dict[str, Any]:
    """Return the only thing that is wrong; it has a hint."""
    parts = report(project, mistakes=True)
    found = [(name, each) for name, findings in parts.items() for each in findings if each["state"] == "wrong"]
    assert [name for name, _ in found] == [part], found
    assert found[0][1]["hint"]
    return found[0][1]


def test_a_project_without_mistakes(project: Callable[..., SmallProject]) -> None:
    """Each part says what was found and tried, each setting where it comes from, and the exit code is 0."""
    settings = f"DTX_TELEMETRY = {{'TASK_SPANS': 'link'}}\n{LAYER}\n{dedent(CHANNELS)}"
    made = project(settings, CHANNELS_FILES)
    parts = report(made, mistakes=False)
    given = {each["setting"]: (each["value"], each["source"]) for each in parts["Settings"]}
    assert given["LOG_FORMAT"] == ("json", "LOG_FORMAT")
    assert given["TASK_SPANS"] == ("link", "DTX_TELEMETRY")
    assert given["REQUEST_ID_HEADER"] == ("X-Request-ID", "default")
    assert [each["state"] for each in parts["Middleware"]] == ["works", "works"]
    assert parts["Middleware"][1]["event"] == "request_completed"
    (root,) = (each for each in parts["Logging"] if each["logger"] == "root")
    assert root["handlers"] == ["ours to stderr"]  # as of every command but servers
    assert "dota.consumers.DraftConsumer is decorated" in parts["Consumers"][0]["text"]
    assert "a message came through" in parts["Channel layers"][0]["text"]
    assert [(each["state"], each["database"]) for each in parts["Databases"]] == [("works", "default")]
    text = made.manage("telemetry")
    assert text.returncode == 0
    assert "nothing is wrong" in text.stdout
    assert "LOG_FORMAT = 'json' (LOG_FORMAT)" in text.stdout


#: Two routes with the place of an id, one without.
ROUTES = """
    from django.urls import include, path, re_path
    inner = [path("invoices/<int:pk>/pay/", print), re_path(r"^orders/(?P<pk>[0-9]+)/$", print)]
    urlpatterns = [path("v1/", include(inner)), path("about/", print)]
"""


def test_a_project_without_labels_is_told_its_words(project: Callable[..., SmallProject]) -> None:
    """It is no mistake to have none. The words are those before an id in its routes."""
    (found,) = report(project(files={"urls.py": ROUTES}), mistakes=False)["Labels"]
    assert (found["state"], found["routes"], found["words"]) == ("noted", 3, ["invoices", "orders"])
    assert "invoices, orders" in found["hint"]


def test_routes_that_have_labels_are_counted(project: Callable[..., SmallProject]) -> None:
    """By the project's own table."""
    own = "DTX_TELEMETRY = {'RESOURCES': {'invoices': 'invoice', 'orders': 'order'}, 'LABEL_PREFIXES': ['/']}"
    (found,) = report(project(own, {"urls.py": ROUTES}), mistakes=False)["Labels"]
    assert (found["state"], found["routes"], found["labelled"]) == ("works", 3, 2)
    assert "/v1/invoices/<int:pk>/pay/" in found["text"]


def test_words_of_the_projects_own_come_first(project: Callable[..., SmallProject]) -> None:
    """Whatever the routes of packages are called, and wherever they are included."""
    urls = """
        from django.views.generic import RedirectView
        from django.urls import path
        urlpatterns = [path("accounts/<int:pk>/", RedirectView.as_view()), path("orders/<int:pk>/", print)]
    """
    (found,) = report(project(files={"urls.py": urls}), mistakes=False)["Labels"]
    assert found["words"] == ["orders", "accounts"]


def test_an_excluded_path_that_matches_no_route_is_noted(project: Callable[..., SmallProject]) -> None:
    """The expression has to match a whole path. Of one that is nearly right the hint says how it would be."""
    paths = ["/v1/orders", "about/", "/about", "/v1/.*"]
    parts = report(project(f"DTX_TELEMETRY = {{'EXCLUDE_PATHS': {paths}}}", {"urls.py": ROUTES}), mistakes=False)
    noted = {each["pattern"]: each["hint"] for each in parts["Middleware"] if "pattern" in each}
    assert noted == {
        "/v1/orders": "It has to match the whole path: did you mean '/v1/orders.*'?",
        "about/": "It has to match the whole path, from its first slash.",
        "/about": "It has to match the whole path: did you mean '/about/'?",
    }


def test_without_an_application_no_consumer_is_looked_for(project: Callable[..., SmallProject]) -> None:
    """A server may be told another one on its command line."""
    made = project(f"{dedent(CHANNELS)}\n{LAYER}\nASGI_APPLICATION = None", CHANNELS_FILES)
    (found,) = report(made, mistakes=False)["Consumers"]
    assert (found["state"], found["text"]) == ("noted", "ASGI_APPLICATION is not set, so consumers were not looked for")
    assert "ASGI_APPLICATION" not in found["hint"]
    assert "your server" in found["hint"]


def test_switched_off_it_says_no_more_than_that(project: Callable[..., SmallProject]) -> None:
    """Nothing is tried, and nothing is wrong."""
    parts = report(project("MIDDLEWARE.pop(0)", TELEMETRY_ENABLED="false"), mistakes=False)
    assert list(parts) == ["Settings"]
    assert parts["Settings"][0]["text"] == "ENABLED = False (TELEMETRY_ENABLED)"


#: By name: settings, files, environment, the part that tells it, and what it says.
MISTAKES: dict[str, tuple[str, dict[str, str], dict[str, str], str, str]] = {
    "no middleware": ("MIDDLEWARE.pop(0)", {}, {}, "Middleware", "TelemetryMiddleware is not in MIDDLEWARE"),
    "no such attribute of users": (
        "INSTALLED_APPS.append('django.contrib.auth')\nDTX_TELEMETRY = {'USER_ID_FIELD': 'uuid'}",
        {},
        {},
        "Settings",
        "USER_ID_FIELD is 'uuid', which auth.User does not have",
    ),
    "a variable of ours as a setting": (
        "LOG_FORMAT = 'json'",
        {},
        {"LOG_FORMAT": ""},
        "Settings",
        "does not read the setting LOG_FORMAT",
    ),
    "the middleware twice": ("MIDDLEWARE.append(MIDDLEWARE[0])", {}, {}, "Middleware", "is in MIDDLEWARE 2 times"),
    "behind one that may answer": (
        'MIDDLEWARE.insert(0, "django.middleware.cache.FetchFromCacheMiddleware")',
        {},
        {},
        "Middleware",
        "stands behind 'django.middleware.cache.FetchFromCacheMiddleware'",
    ),
    "behind one that answers by an expression": (
        FRONT.format("Answering"),
        {},
        {},
        "Middleware",
        "'dota.middlewares.Answering' answers GET /ping/ before",
    ),
    "behind one that raises": (
        FRONT.format("Raising"),
        {},
        {},
        "Middleware",
        "'dota.middlewares.Raising' answers OPTIONS /dtx-telemetry-trial/ before",
    ),
    "a variable with a letter too few": ("", {}, {"LOG_LEVE": "DEBUG"}, "Settings", "environment variable LOG_LEVE."),
    "a variable with letters swapped": ("", {}, {"LOG_QUEEU": "true"}, "Settings", "environment variable LOG_QUEEU."),
    "a variable with our prefix": ("", {}, {"DTX_LOG_LEVEL": "DEBUG"}, "Settings", "environment variable DTX_LOG_LEVEL."),
    "a key in the environment": (
        "",
        {},
        {"TELEMETRY_USER_ID_FIELD": "uuid"},
        "Settings",
        "environment variable TELEMETRY_USER_ID_FIELD.",
    ),
    "the setting misspelt": ("DTX_TELEMTRY = {}", {}, {}, "Settings", "the setting DTX_TELEMTRY."),
    "a key as a setting": ("DTX_TELEMETRY_LOG_LEVEL = 'DEBUG'", {}, {}, "Settings", "the setting DTX_TELEMETRY_LOG_LEVEL."),
    "Celery told to leave logging": (
        "CELERY_WORKER_HIJACK_ROOT_LOGGER = False",
        {},
        {},
        "Logging",
        "CELERY_WORKER_HIJACK_ROOT_LOGGER = False has no effect",
    ),
    "a handler that prints beside ours": (
        """
        LOGGING = {
            "version": 1, "disable_existing_loggers": False,
            "handlers": {"out": {"class": "logging.FileHandler", "filename": "/dev/fd/2"}},
            "root": {"handlers": ["out"], "level": "WARNING"},
        }
        """,
        {},
        {},
        "Logging",
        "its lines come twice",
    ),
    "existing loggers disabled": (
        """
        import logging
        logging.getLogger("dota.views")
        LOGGING = {"version": 1, "root": {"level": "WARNING"}}
        """,
        {},
        {},
        "Logging",
        "LOGGING disables the loggers that exist",
    ),
    "a line of the settings": (
        """
        import logging
        logging.getLogger("dota.settings").info("too early")
        """,
        {},
        {},
        "Logging",
        "logs by 'dota.settings' before telemetry is set up",
    ),
    "a line of an app in front of ours": (
        "INSTALLED_APPS.insert(0, 'dota.apps.Dota')",
        {
            "apps.py": """
                from django.apps import AppConfig
                from dtx_telemetry import get_logger

                class Dota(AppConfig):
                    name = "dota"
                    def ready(self):
                        get_logger().info("too early")
            """
        },
        {},
        "Logging",
        "logs by 'dota.apps' before telemetry is set up",
    ),
    "OpenTelemetry's variables while it is off": (
        "",
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"},
        "OpenTelemetry",
        "have no effect: OTEL_EXPORTER_OTLP_ENDPOINT",
    ),
    "comments beside prepared statements": (
        'DATABASES["default"]["OPTIONS"] = {"prepare_threshold": 5}\nDATABASES["default"]["NAME"] = ""',
        {},
        {"SQL_COMMENTS": "append"},
        "Databases",
        "each would be prepared anew",
    ),
    "a Celery app that is not loaded": (
        "",
        {"celery.py": CELERY_FILES["celery.py"]},
        {},
        "Celery",
        "dota.celery exists but is not loaded",
    ),
    "a broker that is down": (
        'CELERY_BROKER_URL = "redis://:hunter2@127.0.0.1:1/0"',
        CELERY_FILES,
        {},
        "Celery",
        "does not answer",
    ),
    "a consumer without the decorator": (
        CHANNELS,
        {**CHANNELS_FILES, "consumers.py": CHANNELS_FILES["consumers.py"].replace("@telemetry_consumer", "")},
        {},
        "Consumers",
        "dota.consumers.DraftConsumer is not decorated",
    ),
    "a layer that is missing": (
        CHANNELS,
        {**CHANNELS_FILES, "consumers.py": CHANNELS_FILES["consumers.py"].replace("pass", 'groups = ["drafts"]')},
        {},
        "Channel layers",
        "uses the channel layer 'default', which is not configured",
    ),
    "a layer inside ours without its class": (
        CHANNELS_SETTINGS.replace("channels_redis.core.RedisChannelLayer", "dtx_telemetry.layers.TelemetryChannelLayer"),
        CHANNELS_FILES,
        {},
        "Channel layers",
        "this layer could not be made: TypeError",
    ),
    "a layer of a misspelt class": (
        CHANNELS_SETTINGS.replace("RedisChannelLayer", "RedisChanelLayer"),
        CHANNELS_FILES,
        {},
        "Channel layers",
        "this layer could not be made: InvalidChannelLayerError",
    ),
    "an ASGI application of another name": (
        CHANNELS.replace("dota.asgi.application", "dota.asgi.app") + LAYER,
        CHANNELS_FILES,
        {},
        "Consumers",
        "ASGI_APPLICATION is 'dota.asgi.app', which is not there: 'dota.asgi' has no 'app'",
    ),
    "an ASGI module that fails": (
        CHANNELS + LAYER,
        {**CHANNELS_FILES, "asgi.py": "import nowhere"},
        {},
        "Consumers",
        "which is not there: ModuleNotFoundError: No module named 'nowhere'",
    ),
    "a broker whose client is not installed": (
        'CELERY_BROKER_URL = "zookeeper://127.0.0.1"',
        CELERY_FILES,
        {},
        "Celery",
        "the broker's transport 'zookeeper' cannot be loaded",
    ),
    "a format with ids without the filter": (
        """
        LOGGING = {
            "version": 1, "disable_existing_loggers": False,
            "formatters": {"ids": {"format": "%(request.id)s %(message)s"}},
            "handlers": {"file": {"class": "logging.FileHandler", "filename": "/dev/null", "formatter": "ids"}},
            "loggers": {"dota": {"handlers": ["file"]}},
        }
        """,
        {},
        {},
        "Logging",
        "'file' has %(request.id)",
    ),
    "comments without a count": (
        "DTX_TELEMETRY = {'SQL_COMMENTS': 'append', 'DB_QUERIES': 'off'}",
        {},
        {},
        "Databases",
        "SQL_COMMENTS=append has no effect",
    ),
    "a layer whose server is down": (
        CHANNELS_SETTINGS.replace("redis://r", "redis://127.0.0.1:1"),
        CHANNELS_FILES,
        {},
        "Channel layers",
        "could not be sent through this layer",
    ),
    "a database that is not there": (
        'DATABASES["default"]["NAME"] = "/nowhere/at/all.sqlite3"',
        {},
        {},
        "Databases",
        "no connection: OperationalError",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told(project: Callable[..., SmallProject], name: str) -> None:
    """By the part that it belongs to, with a hint, and nothing else is found wrong."""
    settings, files, environ, part, said = MISTAKES[name]
    mistake = the_mistake(project(settings, files, **environ), part)
    assert said in mistake["text"]
    assert "hunter2" not in str(mistake)


#: What stops every start, with the words that it stops with.
STOPPING: dict[str, tuple[str, dict[str, str], str]] = {
    "an unknown key": ("DTX_TELEMETRY = {'LOG_FORMT': 'json'}", {}, "Did you mean 'LOG_FORMAT'?"),
    "a wrong value": (
        "DTX_TELEMETRY = {'TASK_SPANS': 'both'}",
        {},
        "DTX_TELEMETRY['TASK_SPANS'] is 'both'; accepted: child, link.",
    ),
    "a wrong variable": ("", {"LOG_LEVEL": "LOUD"}, "the environment variable LOG_LEVEL is 'LOUD'; accepted: CRITICAL"),
    "a variable of OpenTelemetry as a key": (
        "DTX_TELEMETRY = {'OTEL_SERVICE_NAME': 'dota'}",
        {},
        "Set the environment variable OTEL_SERVICE_NAME.",
    ),
    "a path as a segment": ("DTX_TELEMETRY = {'RESOURCES': {'/orders/': 'order'}}", {}, "a segment has no slash."),
    "a wrong type": ("DTX_TELEMETRY = ['LOG_LEVEL']", {}, "DTX_TELEMETRY is ['LOG_LEVEL']; accepted: a dict."),
    "a limit too low": ("", {"LOG_MAX_VALUE_LENGTH": "20"}, "accepted: a whole number, at least 256."),
    "an unknown exporter": ("", {"OTEL_ENABLED": "true", "OTEL_TRACES_EXPORTER": "zipkim"}, "OTEL_TRACES_EXPORTER is 'zipkim'"),
}


@pytest.mark.parametrize("name", STOPPING)
def test_what_stops_the_start_is_told_by_every_command(project: Callable[..., SmallProject], name: str) -> None:
    """In one line at the end of the traceback."""
    settings, environ, said = STOPPING[name]
    done = project(settings, **environ).manage("telemetry")
    assert done.returncode == 1
    assert said in done.stderr.strip().splitlines()[-1]


def test_a_chain_that_loses_our_header_is_told(project: Callable[..., SmallProject]) -> None:
    """A request of the whole chain shows it, whatever the code looks like."""
    mistakes = [
        each for each in report(project(FRONT.format("Swallowing")), mistakes=True)["Middleware"] if each["state"] == "wrong"
    ]
    assert any("without X-Request-ID" in each["text"] for each in mistakes)


def test_a_harmless_middleware_in_front_is_none(project: Callable[..., SmallProject]) -> None:
    """It hands every request on."""
    report(project(FRONT.format("Harmless")), mistakes=False)


def test_lines_of_the_application_about_the_request_are_no_closing_event(project: Callable[..., SmallProject]) -> None:
    """Whatever they are called, and however late they come."""
    logs = """
        import logging
        from django.core.signals import request_finished
        from django.dispatch import receiver

        @receiver(request_finished)
        def note(**_):
            logging.getLogger("dota").warning("request_noted")

        urlpatterns = []
    """
    assert report(project(files={"urls.py": logs}), mistakes=False)["Middleware"][1]["event"] == "request_completed"


OTEL = {"OTEL_ENABLED": "true", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_collector_that_takes_everything(project: Callable[..., SmallProject], protocol: str) -> None:
    """A trial span, measurement and record arrive, and the address of each is named."""
    with otlp_collector() as collector:
        parts = report(project(**collector.environ(protocol)), mistakes=False)
        assert [each["signal"] for each in parts["OpenTelemetry"]] == ["traces", "metrics", "logs"]
        port = collector.grpc_port if protocol == "grpc" else collector.http_port
        assert all(f"{collector.host}:{port}" in each["address"] for each in parts["OpenTelemetry"])
        assert "dtx_telemetry trial" in {span.name for span in collector.spans}
        assert "dtx_telemetry trial" in {record.body for record in collector.records}


@pytest.mark.parametrize(
    ("variable", "path", "hint"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "/v1/traces", "write it without /v1/traces"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "", "write it with its path, /v1/traces"),
    ],
)
def test_a_wrong_path_is_told(project: Callable[..., SmallProject], variable: str, path: str, hint: str) -> None:
    """With the address that was asked, what it answered, and how the variable should be written."""
    with otlp_collector() as collector:
        address = f"http://{collector.host}:{collector.http_port}"
        mistake = the_mistake(project(**OTEL, **{variable: f"{address}{path}"}), "OpenTelemetry")
    assert address in mistake["address"]
    assert "404" in mistake["answer"]
    assert hint in mistake["hint"]


@pytest.mark.parametrize(("status", "hint"), [(401, "OTEL_EXPORTER_OTLP_HEADERS"), (404, "EXPORTER=none")])
def test_the_answer_of_each_exporter_is_told(project: Callable[..., SmallProject], status: int, hint: str) -> None:
    """Also if the process's own exporter has just had the same one."""
    with refusing_collector(status) as address:
        parts = report(project(OTEL_ENABLED="true", OTEL_EXPORTER_OTLP_ENDPOINT=address), mistakes=True)
    assert [(str(status) in each["answer"], hint in each["hint"]) for each in parts["OpenTelemetry"]] == [(True, True)] * 3


@contextmanager
def refusing_collector(status: int) -> Iterator[str]:
    """Answer each request with *status*, and yield the address."""

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_collector_that_refuses_is_told(project: Callable[..., SmallProject]) -> None:
    """Nobody listens there."""
    mistake = the_mistake(project(**OTEL, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{reserved_port()}"), "OpenTelemetry")
    assert "/v1/traces refused a trial record" in mistake["text"]


@pytest.fixture
def with_broker(tmp_path: Path) -> Iterator[str]:
    """Settings for a broker that is a folder."""
    folder = tmp_path / "broker"
    for name in ("messages", "control"):
        (folder / name).mkdir(parents=True)
    return f"""
    CELERY_BROKER_URL = "filesystem://"
    CELERY_BROKER_TRANSPORT_OPTIONS = {{
        "data_folder_in": "{folder}/messages", "data_folder_out": "{folder}/messages", "control_folder": "{folder}/control",
        "polling_interval": 0.1,
    }}
    """


def start_worker(processes: Processes, project: SmallProject, app: str = "dota", **environ: str) -> None:
    """Start a worker of *project*, and return once it answers."""
    processes.worker("--loglevel=INFO", pool="solo", app=app, env={**project.environ, **environ}, cwd=project.folder)


def test_a_worker_with_the_same_settings(project: Callable[..., SmallProject], processes: Processes, with_broker: str) -> None:
    """It is named, and right."""
    made = project(with_broker, CELERY_FILES)
    start_worker(processes, made)
    (answered,) = [each for each in report(made, mistakes=False)["Celery"] if "worker" in each]
    assert answered["state"] == "works"
    assert answered["text"].endswith("has the same version and settings")


def test_a_worker_with_other_settings_is_told(
    project: Callable[..., SmallProject], processes: Processes, with_broker: str
) -> None:
    """Each difference that keeps lines from being joined; a level of its own is only noted."""
    settings = """
    import os
    if "TEAMS" in os.environ:
        DTX_TELEMETRY = {"RESOURCES": {"teams": "team"}}
    """
    made = project(with_broker + settings, CELERY_FILES)
    start_worker(processes, made, TEAMS="1", LOG_LEVEL="DEBUG")
    about = {each["setting"]: each for each in report(made, mistakes=True)["Celery"] if "setting" in each}
    assert {setting: each["state"] for setting, each in about.items()} == {"RESOURCES": "wrong", "LOG_LEVEL": "noted"}
    assert about["RESOURCES"]["text"].startswith("RESOURCES is {'teams': 'team'} in the worker ")
    assert about["RESOURCES"]["text"].endswith(", the default here.")


def test_a_worker_without_the_library_is_told(
    project: Callable[..., SmallProject], processes: Processes, with_broker: str
) -> None:
    """An app of its own that has no Django forgot to import it."""
    bare = """
        from celery import Celery
        from pathlib import Path
        app = Celery("bare", broker="filesystem://")
        folder = Path(__file__).parent / "broker"
        app.conf.broker_transport_options = {
            "data_folder_in": f"{folder}/messages", "data_folder_out": f"{folder}/messages",
            "control_folder": f"{folder}/control", "polling_interval": 0.1,
        }
    """
    made = project(with_broker, CELERY_FILES)
    (made.folder / "bare.py").write_text("\n".join(line[8:] for line in bare.splitlines()))
    start_worker(processes, made, "bare", DJANGO_SETTINGS_MODULE="")
    mistake = the_mistake(made, "Celery")
    assert "does not know dtx_telemetry" in mistake["text"]
    assert "INSTALLED_APPS of its settings" in mistake["hint"]
    assert "import dtx_telemetry.celery" in mistake["hint"]
