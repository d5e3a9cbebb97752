"""The README: every block of code in it runs, and every table says what is so."""

import configparser
import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import MISSING
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.request import ProxyHandler, Request, build_opener

import docutils.nodes
import docutils.utils
import pytest
from docutils.core import publish_doctree
from websockets.sync.client import connect

from dtx_telemetry import context
from dtx_telemetry.config import NOISY_LOGGERS, Settings

from .support.lines import parse_line, with_event
from .support.processes import ROOT, clean_environ

PACKAGE = ROOT / "dtx_telemetry"
DOCUMENT = publish_doctree(
    (ROOT / "README.rst").read_text(encoding="utf-8"), settings_overrides={"report_level": 2, "halt_level": 2}
)
BLOCKS = {
    block["names"][0] if block["names"] else "": block.astext() for block in DOCUMENT.findall(docutils.nodes.literal_block)
}
#: The files of the project that the README leaves to the reader.
OWN = {
    "mysite/__init__.py": "from .celery import app",
    "mysite/management/__init__.py": "",
    "mysite/management/commands/__init__.py": "",
    "mysite/management/commands/tell.py": """
from django.core.management.base import BaseCommand

class Command(BaseCommand):
    def handle(self, **options):
        self.stdout.write("told")
""",
    "mysite/tasks.py": """
from asgiref.sync import async_to_sync
from celery import shared_task
from channels.layers import get_channel_layer

@shared_task
def announce_pick(hero):
    async_to_sync(get_channel_layer().group_send)("drafts", {"type": "draft.pick", "hero": hero})
""",
    "mysite/urls.py": """
from django.urls import path

from . import views

urlpatterns = [path("api/tournaments/<int:tournament_id>/pick/", views.pick), path("health/", views.health)]
""",
    "mysite/asgi.py": """
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

http = get_asgi_application()

from .consumers import DraftConsumer

sockets = URLRouter([path("ws/drafts/", DraftConsumer.as_asgi())])
application = ProtocolTypeRouter({"http": http, "websocket": sockets})
""",
}
OWN_SETTINGS = """
import os

SECRET_KEY = "tests only"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "mysite.urls"
INSTALLED_APPS += ["mysite"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
CELERY_BROKER_URL = os.environ["BROKER"]
CELERY_TASK_IGNORE_RESULT = True
"""
OWN_VIEW = "\n\ndef health(request):\n    return JsonResponse({})\n"


def test_every_block_has_a_test():
    """No block of code is in the README that is not run or compared here, and there are no two of one name."""
    files = {name for name in BLOCKS if name.startswith("mysite/")}
    assert BLOCKS.keys() - files == {
        "demo",
        "tests",
        "demo-output",
        "bench",
        "bench-output",
        "install",
        "line",
        "reading",
        "calling",
        "labels",
        "signals",
    }
    assert len(BLOCKS) == sum(1 for _ in DOCUMENT.findall(docutils.nodes.literal_block))


def test_the_changelog_is_well_formed():
    """Docutils has nothing to say about it, and the version is that of the package."""
    text = (ROOT / "CHANGELOG.rst").read_text(encoding="utf-8")
    publish_doctree(text, settings_overrides={"report_level": 1, "halt_level": 2})
    assert f"\n{_setup()['metadata']['version']} " in text


def _setup():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return setup


# The demo


@pytest.fixture(scope="module")
def demo_output(tmp_path_factory):
    """What the program in the README's first command prints, in an empty folder."""
    program = BLOCKS["demo"].split(" && ")[2].split()
    assert program.pop(0) == ".venv/bin/python"
    environ = clean_environ()
    del environ["DJANGO_SETTINGS_MODULE"]
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [sys.executable, *program],
        env=environ,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return normalised(done.stdout)


def normalised(text):
    """Return *text* with a word in place of all that differs from run to run."""
    for pattern, word in (
        (r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z", "MOMENT"),
        (r"\d{4}-\d\d-\d\d [\d:]{8}", "SECOND"),
        (r"\b\d\d:\d\d:\d\d\.\d{6}", "TIME"),
        (r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b", "UUID"),
        (r"\bclick-[0-9a-f]{16}\b", "CLICK"),
        (r"\bdtx-demo-[0-9a-f]{8}\b", "RUN"),
        (r"\b[0-9a-f]{32}\b", "ID"),
        (r"(?<=_ms=)[\d.]+", "MS"),
        (r"(?<=succeeded in )[\d.e-]+", "S"),
    ):
        text = re.sub(pattern, word, text)
    return text


def test_the_demos_output_is_what_the_readme_shows(demo_output):
    """The summary is the same to the letter; each shown line of a process comes, in the shown order."""
    shown, _, summary = normalised(BLOCKS["demo-output"]).partition("\nrequest.id ")
    real, _, real_summary = demo_output.partition("\nrequest.id ")
    assert summary.strip() == real_summary.strip()
    for process in ("web", "worker", "socket"):
        wanted = [line for line in shown.splitlines() if line.split(" ")[0] == process]
        coming = iter(real.splitlines())
        assert wanted
        for line in wanted:
            assert line in coming, f"{line}\nis not, or not there, in\n{real}"


@pytest.mark.parametrize("name", ["demo", "tests"])
def test_the_commands_are_one_line_and_install_what_there_is(name):
    """Each makes its own environment and installs from the clone, with an extra that there is, or from the index."""
    venv, install, program = BLOCKS[name].split(" && ")
    assert "\n" not in BLOCKS[name]
    assert venv == "python3 -m venv .venv"
    wanted = re.fullmatch(r"\.venv/bin/pip install -q (?:'\.\[(\w+)\]'|tox)", install)
    assert wanted
    assert wanted[1] is None or wanted[1] in _setup()["options.extras_require"]
    assert program.startswith(".venv/bin/")


def test_the_test_command_runs_tox():
    """Tox is what runs the tests, on every Python that is there."""
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini")
    assert BLOCKS["tests"].endswith("/tox")
    assert {"oldest", "py312", "newest", "lint", "types"} <= set(re.split(r"[,\s]+", tox["tox"]["env_list"]))
    assert tox["tox"]["skip_missing_interpreters"] == "true"


def test_the_benchmarks_command_runs_them():
    """It is an environment of tox that runs the module."""
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini")
    name = re.fullmatch(r"\.venv/bin/tox -e (\w+)", BLOCKS["bench"])[1]
    assert tox[f"testenv:{name}"]["commands"].startswith("python -m tests.benchmarks")


def test_the_benchmarks_tables_are_what_a_run_printed():
    """Each ratio is near what follows from the costs above it, so no figure was put in by hand."""
    checked = 0
    for table in BLOCKS["bench-output"].split("\n\n"):
        title, line, *rows = table.splitlines()
        assert line == "-" * len(title)
        costs = {
            name: float(cost)
            for name, cost in (re.fullmatch(r"(.+?)  +([\d.]+) us", row).groups() for row in rows if row.endswith(" us"))
        }
        assert all(cost > 0 for cost in costs.values())
        for row in rows[len(costs) :]:
            label, value = re.fullmatch(r"(.+?)  +(-?[\d.]+)", row).groups()
            name, _, base = label.partition(" to ")
            if name in costs and base in costs:
                assert float(value) == pytest.approx(costs[name] / costs[base], rel=0.2, abs=0.02)
                checked += 1
    assert checked > 10


def test_the_extras_of_the_install_command_are_there():
    """They are extras of the package, by their names."""
    (extras,) = re.fullmatch(r"pip install '\.\[([\w,]+)\]'", BLOCKS["install"]).groups()
    assert set(extras.split(",")) <= set(_setup()["options.extras_require"])


# The project that the snippets make


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The folder of a project made of the README's snippets, and of what those leave to the reader."""
    folder = tmp_path_factory.mktemp("project")
    files = dict(OWN)
    for name, code in BLOCKS.items():
        path = name.partition(":")[0]
        if path.startswith("mysite/"):
            files[path] = f"{files.get(path, '')}{code}\n"
    files["mysite/settings.py"] += OWN_SETTINGS
    files["mysite/views.py"] += OWN_VIEW
    for path, code in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(code, encoding="utf-8")
    return folder


@pytest.fixture
def site(project, processes, valkey_url, monkeypatch):
    """Start programs of that project."""
    settings = project / "mysite" / "settings.py"
    shown = "redis://127.0.0.1:6379/0"
    code = settings.read_text(encoding="utf-8")
    assert shown in code
    settings.write_text(code.replace(shown, valkey_url), encoding="utf-8")
    processes.environ |= {"DJANGO_SETTINGS_MODULE": "mysite.settings", "BROKER": valkey_url, "COLUMNS": "80"}
    processes.environ["PYTHONPATH"] = os.pathsep.join([str(project), str(ROOT)])
    yield processes
    settings.write_text(code, encoding="utf-8")


def test_the_four_snippets_join_a_click(site):
    """View, task and consumer of the README's project log one id, the labels of its table, and the events of its tables."""
    web = site.uvicorn(app="mysite.asgi:application")
    worker = site.worker(app="mysite")
    port = web.wait_for_port()
    with connect(f"ws://127.0.0.1:{port}/ws/drafts/", proxy=None) as watching:
        web.wait_for_event("ws_connected")
        _open(f"http://127.0.0.1:{port}/api/tournaments/5/pick/", {"X-Request-ID": "readme-1"})
        assert json.loads(watching.recv(timeout=30)) == {"hero": "Invoker"}
    web.wait_for_event("ws_disconnected")
    wanted = {"request.id": "readme-1", "labels": ["tournament"], "tournament.id": 5}
    task = worker.wait_for_event("task_completed")
    for line in (web.wait_for_event("draft_pick_made"), task, web.wait_for_event("draft_pick_shown")):
        assert wanted.items() <= line.items()
    _open(f"http://127.0.0.1:{port}/health/", {"X-Request-ID": "readme-2"})
    web.stop()
    assert not with_event(web.lines, "request_completed", request_id="readme-2")


def _open(url, headers):
    with build_opener(ProxyHandler({})).open(Request(url, headers=headers), timeout=30) as response:
        assert response.headers["X-Request-ID"] == headers["X-Request-ID"]


@pytest.mark.parametrize(("log_format", "number"), [("json", 0), ("pretty", 1)])
def test_the_line_of_the_log_call_is_what_the_readme_shows(site, log_format, number):
    """To the letter, time and id aside, in both formats."""
    shown = BLOCKS["line"].splitlines()[number]
    url = "/api/tournaments/5/pick/"
    client = f"from django.test import Client; import django; django.setup(); Client().get('{url}')"
    process = site.python("-c", client, env={"LOG_FORMAT": log_format, "BROKER": "memory://"})
    assert process.wait() == 0, process.text
    lines = [json.dumps(line, separators=(",", ":")) for line in process.lines] if log_format == "json" else process.other
    assert normalised(shown) in [normalised(line) for line in lines], process.text


def test_a_command_that_is_a_server_has_no_scope(site):
    """The one with ``telemetry = False`` logs nothing of its own, another one its end, to stderr."""
    server = site.python("-m", "django", "listen")
    other = site.python("-m", "django", "tell")
    assert (server.wait(), other.wait()) == (0, 0), server.text + other.text
    assert "listening" in server.other
    assert "command_" not in server.text
    assert other.other == ["told"]
    events = [parse_line(line) for line in other.errors]
    assert [(line["event"], line["level"]) for line in events] == [("command_completed", "info")]


# The other snippets, run here


def run_block(name):
    """Run a snippet and return its names."""
    names = {"__name__": "readme"}
    exec(compile(BLOCKS[name], f"README.rst: {name}", "exec"), names)
    return names


def test_reading_and_carrying_the_id(log_output):
    """The id is read, bound fields are on the block's line alone, and the pool's thread has the id."""
    serve = run_block("reading")["serve"]
    scope = context.enter_root({"request.id": "readme-3"})
    serve()
    context.leave(scope)
    assert log_output.one("read")["read"] == "readme-3"
    assert log_output.one("phase_started")["phase"] == "captains"
    worked = log_output.one("worked")
    assert (worked["request.id"], worked["number"]) == ("readme-3", 1)
    assert "phase" not in worked


def test_outgoing_calls_bear_the_id(monkeypatch):
    """Each of the three libraries sends the header."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    received = []

    class Service(BaseHTTPRequestHandler):
        def do_GET(self):
            received.append(self.headers["X-Request-ID"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            """Nothing."""

    call = run_block("calling")["call"]
    with HTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        scope = context.enter_root({"request.id": "readme-4"})
        try:
            call(f"http://127.0.0.1:{server.server_port}/")
        finally:
            context.leave(scope)
            server.shutdown()
            thread.join()
    assert received == ["readme-4"] * 3


def test_labels():
    """The snippet asserts it itself."""
    run_block("labels")


def test_signals_change_what_travels():
    """What the first receiver takes out does not go along, and what the second puts in is bound."""
    names = run_block("signals")
    for signal, receiver, found, wanted in (
        ("context_publishing", "leave_out", {"draft_notes": "secret", "kept": 1}, {"kept": 1}),
        ("context_restored", "add_region", {"kept": 1}, {"kept": 1, "region": "eu"}),
    ):
        changed = dict(found)
        names[signal].send(None, context=changed)
        names[signal].disconnect(names[receiver])
        assert changed == wanted


# The tables


def table(name):
    """Return the rows of a table as lists of texts."""
    (found,) = [node for node in DOCUMENT.findall(docutils.nodes.table) if name in node["names"]]
    rows = [[entry.astext() for entry in row.findall(docutils.nodes.entry)] for row in found.findall(docutils.nodes.row)]
    return rows[1:]


def test_the_table_of_settings_is_complete():
    """It has every key, its environment variable and its default."""
    declared = {name: spec for name, spec in Settings.__dataclass_fields__.items() if spec.metadata}
    rows = {row[0]: row for row in table("table-of-settings")}
    assert rows.keys() == {name.upper() for name in declared}
    for name, spec in declared.items():
        _, environment, default, _ = rows[name.upper()]
        assert environment == spec.metadata["env"], name
        assert spec.default_factory is not MISSING
        given = default if default != "[]" and not default.startswith("[") else json.loads(default)
        assert _equal(name, spec.default_factory(), spec.metadata["parse"], given), f"{name}: {default}"


def _equal(name, default, parse, given):
    """Whether *default* is what the README gives for it: in words for what is long."""
    if name == "resources":
        return given.startswith(", ".join(sorted(set(default.values()), key=list(default.values()).index)))
    if name == "resources_without_id":
        return given == ", ".join(default)
    if name == "quiet_loggers":
        return default == NOISY_LOGGERS
    if name == "log_levels":
        return (given, dict(default)) == ("none", {})
    if default is None:
        return given in {"None", "stdout", "pretty if DEBUG, else json"}
    return parse(given) == default


def _code():
    """Return the package's code, the demo's aside, as one text."""
    paths = [path for path in PACKAGE.rglob("*.py") if "demo" not in path.relative_to(PACKAGE).parts]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def test_the_table_of_events_is_complete():
    """It has every event that the code logs, and no other."""
    told = {event for row in table("table-of-events") for event in re.findall(r"[a-z]+(?:_[a-z]+)+", row[0])}
    calls = r"(?:log|logger|_log)\.(?:debug|info|warning|error|log)\(\s*(?:[^\"(),]+,|[^\"]*? else [^\"]*?,)?\s*\"([a-z_]+)\""
    logged = set(re.findall(calls, _code())) | {"log_lines_lost"}
    assert logged <= told
    assert all(f'"{event}"' in _code() for event in told)


def test_the_tables_name_only_fields_that_there_are():
    """Every field of the tables stands in the code as a name."""
    cells = [row[1] for row in table("table-of-fields")] + [row[2] for row in table("table-of-events")]
    fields = {field for cell in cells for field in re.findall(r"\b[a-z]+\.[a-z_]+\b|\b[a-z]+_(?:ms|code)\b", cell)}
    assert len(fields) > 15
    assert [field for field in fields if f'"{field}"' not in _code() and f"{field}=" not in _code()] == []
