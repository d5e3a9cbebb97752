"""``dtx-telemetry run``: commands below the live page, at a terminal and without one."""

import re
import signal
import subprocess
import sys
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from dtx_telemetry.viewer.commands.run import split_commands
from dtx_telemetry.viewer.page.children import name_of
from tests.support.processes import clean_environ
from tests.support.terminal import Terminal
from tests.support.waiting import wait_until

RUN = ("-m", "dtx_telemetry", "run")
#: Logs a line, then does what the test says.
SCRIPT = """
import json, os, signal, sys, time
from datetime import UTC, datetime

def log(event, **fields):
    time = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    line = {"timestamp": time, "level": "info", "logger": "app", "event": event, **fields, "request.id": "an-id"}
    print(json.dumps(line) if os.environ["LOG_FORMAT"] == "json" else "no json", flush=True)

"""
FOREVER = """
log("begun", me=ME)
try:
    while True:
        time.sleep(60)
except KeyboardInterrupt:
    log("interrupted", me=ME)
    sys.exit(5)
"""


@pytest.fixture
def script(tmp_path):
    """Makes a command that runs code."""

    def make(code, me="one"):
        path = tmp_path / f"{me}.py"
        path.write_text(f"{SCRIPT}ME = {me!r}\n{code}")
        return [sys.executable, "-u", str(path)]

    return make


def address_of(process):
    process.wait_for_text("the page is http://")
    return re.search(r"http://\S+", process.text)[0]


def shown(address, **query):
    with httpx.Client(base_url=address, trust_env=False, timeout=180) as browser:
        return browser.get("/rows", params=query).json()


def test_a_command_runs_with_json_its_lines_are_pretty_and_its_exit_code_is_ours(processes, script):
    """What it prints besides is shown as it is; what comes in by a pipe is its."""
    run = processes.python(
        *RUN, "--", *script('print("plain: text"); log("logged", n=7); print("no end", end=""); sys.exit(4)')
    )
    assert run.wait() == 4
    assert run.other[0] == "plain: text"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[info \] logged \[app\] n=7 request.id=an-id", run.other[1])
    assert run.other[2:] == ["no end"]
    (said,) = run.errors
    assert re.fullmatch(r"dtx-telemetry: the page is http://127\.0\.0\.1:\d+/", said)


def test_the_page_has_the_lines_while_the_command_runs(processes, script):
    """Ctrl-C reaches the command, and what it does then is still shown."""
    run = processes.python(*RUN, "--", *script(FOREVER))
    address = address_of(run)
    wait_until(lambda: shown(address)["lines"] == 1, what="its line on the page")
    assert [row[0] for row in shown(address, filter="me=one")["rows"]] == ["an-id"]
    run.wait_for_text("begun")
    assert run.stop(signal.SIGINT) == 5
    assert "interrupted [app] me=one" in run.text


def test_several_commands_each_have_their_name(processes, script):
    """One that ends is told and the others go on; the first exit code that is not 0 is ours; Ctrl-C ends all."""
    ended = script("log('ended', me=ME); sys.exit(3)", "two")
    run = processes.python(*RUN, "--", *script(FOREVER), "--", *ended)
    address = address_of(run)
    run.wait_for_text("two ended with exit code 3")
    for line in (r"one \| .* begun \[app\] me=one", r"two \| .* ended \[app\] me=two"):  # stdout is read apart from stderr
        wait_until(lambda line=line: any(re.match(line, text) for text in tuple(run.other)), what=line)
    assert sorted(shown(address)["rows"][0][-1]) == ["one", "two"]
    assert run.stop(signal.SIGINT) == 3
    assert "interrupted" in run.text


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGUSR1, 138)])
def test_signals_are_passed_on(processes, script, number, code):
    """A command that one ends has the exit code of a shell."""
    run = processes.python(*RUN, "--", *script(FOREVER))
    run.wait_for_text("begun")
    assert run.stop(number) == code


def test_a_signal_reaches_the_command_alone(processes, script):
    """Its children are its own to end: a worker's finish their tasks."""
    child = (
        "import signal, sys; signal.signal(15, lambda *_: print('child asked', flush=True)); print('child ready', flush=True)"
    )
    code = f"""
import subprocess
child = subprocess.Popen([sys.executable, "-c", {child + "; sys.stdin.read()"!r}], stdin=subprocess.PIPE)

def end(*_):
    child.stdin.close()
    child.wait()
    sys.exit(7)

signal.signal(signal.SIGTERM, end)
log("begun")
while True:
    time.sleep(60)
"""
    run = processes.python(*RUN, "--", *script(code))
    run.wait_for_text("child ready")
    run.wait_for_text("begun")
    assert run.stop(signal.SIGTERM) == 7
    assert "child asked" not in run.text


def test_the_third_ctrl_c_asks_no_more(processes, script):
    """As for a command that ignores the first and the second."""
    run = processes.python(
        *RUN, "--", *script("signal.signal(2, lambda *_: log('no')); log('begun')\nwhile True: time.sleep(60)")
    )
    run.wait_for_text("begun")
    for count in (1, 2):
        run.send_signal(signal.SIGINT)
        wait_until(lambda count=count: run.text.count("no [app]") == count, what="its answer")
    assert run.stop(signal.SIGINT) == 137


def test_what_a_command_leaves_behind_ends_too(processes, script):
    """Such as the child of a reloader."""
    code = "import subprocess\nlog('begun', pid=subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid)"
    run = processes.python(*RUN, "--", *script(code))
    assert run.wait() == 0
    left = int(re.search(r"pid=(\d+)", run.text)[1])
    wait_until(lambda: not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE, what="its end")


def test_the_page_may_stay(processes, script):
    """With ``--stay``, until Ctrl-C."""
    run = processes.python(*RUN, "--stay", "--", *script("log('logged'); sys.exit(4)"))
    address = address_of(run)
    run.wait_for_text("the page stays until Ctrl-C")
    assert shown(address)["lines"] == 1
    assert run.stop(signal.SIGINT) == 4


def test_filters_choose_what_counts_on_the_page(processes, script):
    """All lines are printed."""
    run = processes.python(*RUN, "me=two", "--", *script(FOREVER))
    address = address_of(run)
    run.wait_for_text("begun")
    wait_until(lambda: shown(address)["lines"] == 1, what="its line")
    assert shown(address)["rows"] == []
    assert run.stop(signal.SIGINT) == 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--", "/no/such/command"], "/no/such/command: No such file or directory"),
        (["--", "sleep", "600", "--", "/no/such/command"], "/no/such/command: No such file or directory"),
        ([], "name a command behind --: dtx-telemetry run -- python manage.py runserver"),
        (["app.log", "--", "ls"], "write -- before the command"),
    ],
)
def test_what_cannot_be_run_is_told(processes, arguments, said):
    """In one line, with exit code 2."""
    run = processes.python(*RUN, *arguments)
    assert run.wait() == 2
    assert said in run.errors[-1]
    assert run.errors[-1].startswith("dtx-telemetry: ")


def test_a_reader_that_goes_ends_the_commands(script):
    """As in a pipe into head."""
    noisy = script("while True: log('turn'); time.sleep(0.01)")
    command = [sys.executable, *RUN, "--", *noisy]
    with subprocess.Popen(command, env=clean_environ(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        assert b"turn" in run.stdout.readline()
        run.stdout.close()
        run.wait(180)


def test_a_debugger_works_at_a_terminal(script):
    """What is typed reaches it, its prompt is shown at once, and lines are laid out in colour."""
    code = "log('before')\nassert sys.stdin.isatty() and os.get_terminal_size().columns == 120\n"
    code += "breakpoint()\nx = 41 + 1\nprint('x', x)"
    with Terminal([sys.executable, *RUN, "--", *script(code)], clean_environ()) as terminal:
        terminal.wait_for("(Pdb) ")
        assert re.search(r"info.*before.*request\.id=", terminal.text)
        assert "\x1b[" in terminal.text
        terminal.type("p 'an' + 'swer'\n")
        terminal.wait_for("'answer'")
        terminal.type("c\n")
        terminal.wait_for("x 42")
        assert terminal.wait() == 0


def test_ctrl_c_at_a_terminal_ends_all(script):
    """Typed, it is one SIGINT for each command; the terminal is left as it was."""
    commands = [*script(FOREVER, "one"), "--", *script(FOREVER, "two")]
    with Terminal([sys.executable, *RUN, "--", *commands], clean_environ()) as terminal:
        terminal.wait_for("begun", count=2)
        terminal.type("\x03")
        terminal.wait_for("interrupted", count=2)
        assert terminal.wait() == 5
        assert terminal.text.count("interrupted") == 2


def test_runserver_and_its_reloader_run(processes):
    """A request appears on the page; Ctrl-C ends both of runserver's processes."""
    run = processes.python(
        *RUN, "--", sys.executable, "tests/project/manage.py", "runserver", "0", env={"PYTHONUNBUFFERED": ""}
    )
    address = address_of(run)
    (port,) = wait_until(lambda: [port for port in run.ports() if port != urlsplit(address).port], what="the server's port")
    family = run.children()
    assert len(family) >= 2
    answer = httpx.get(
        f"http://127.0.0.1:{port}/nowhere/", trust_env=False, headers={"X-Request-ID": "asked-by-test"}, timeout=180
    )
    assert answer.status_code == 404
    wait_until(lambda: "asked-by-test" in {row[0] for row in shown(address)["rows"]}, what="the request on the page")
    run.wait_for_text("request_completed")
    run.stop(signal.SIGINT)
    wait_until(lambda: not any(process.is_running() for process in family), what="the end of all")


def test_commands_are_named_by_what_they_do():
    """Of Django's and Celery's the command, else the program."""
    assert name_of(["python", "manage.py", "runserver", "0"]) == "runserver"
    assert name_of(["/venv/bin/python3.13", "-u", "manage.py", "migrate"]) == "migrate"
    assert name_of(["celery", "-A", "site", "worker", "-l", "INFO"]) == "worker"
    assert name_of(["python", "-m", "celery", "-A", "site", "beat"]) == "beat"
    assert name_of(["daphne", "site.asgi:application"]) == "daphne"
    assert name_of(["/usr/bin/env"]) == "env"
    assert name_of(["python", "-c", "import time; time.sleep(1)"]) == "python"
    assert name_of(["sh", "-c", "exec sleep 1"]) == "sh"
    assert split_commands(["--", "a", "-b", "--", "c"]) == [["a", "-b"], ["c"]]
