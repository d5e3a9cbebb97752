"""The package as it is installed: what works without the extras, what is public, what is in the repository."""

import ast
import configparser
import importlib
import inspect
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import dtx_telemetry
from dtx_telemetry.errors import install_command
from tests.support.lines import parse_lines, with_event
from tests.support.processes import ROOT, run_python

# Makes the named packages as absent as if they had never been installed.
BLOCK = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""
EXTRAS = ("celery", "kombu", "channels", "opentelemetry")
PUBLIC = [
    "ContextFilter",
    "LineFormatter",
    "bind_fields",
    "carry_context",
    "extract_labels",
    "get_logger",
    "get_request_id",
    "init_telemetry",
    "operation",
    "outgoing_headers",
    "telemetry_consumer",
]
TEXT = {"", ".py", ".cfg", ".ini", ".toml", ".txt", ".rst", ".md", ".html", ".js", ".json"}


def without(names, code):
    """Run *code* in a new interpreter in which *names* cannot be imported."""
    return run_python(BLOCK.format(names=repr(tuple(names))) + code)


def sources():
    """The repository's files, those that tools make left out."""
    made = {
        ".git",
        ".tox",
        ".venv",
        "build",
        "dist",
        "__pycache__",
        ".hypothesis",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
    }
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if path.is_file() and not made & set(parts) and not any(part.endswith(".egg-info") for part in parts):
            yield path


def test_the_public_names_are_there():
    """Those of the design can be imported from the package, and `dir` tells them."""
    assert set(PUBLIC) == set(dtx_telemetry.__all__) <= set(dir(dtx_telemetry))
    for name in dtx_telemetry.__all__:
        assert getattr(dtx_telemetry, name).__module__.startswith("dtx_telemetry."), name


@pytest.mark.parametrize(
    ("module", "name"), [("middleware", "TelemetryMiddleware"), ("layers", "TelemetryChannelLayer"), ("celery", "__all__")]
)
def test_the_public_modules_are_there(module, name):
    """Settings name them by their dotted path."""
    assert hasattr(importlib.import_module(f"dtx_telemetry.{module}"), name)


#: Every public name, with where it is imported from.
PUBLIC_OBJECTS = {name: getattr(dtx_telemetry, name) for name in dtx_telemetry.__all__} | {
    "TelemetryMiddleware": importlib.import_module("dtx_telemetry.middleware").TelemetryMiddleware,
    "TelemetryChannelLayer": importlib.import_module("dtx_telemetry.layers").TelemetryChannelLayer,
    "TelemetryEvents": importlib.import_module("dtx_telemetry.pytest_plugin").TelemetryEvents,
}


@pytest.mark.parametrize("name", PUBLIC_OBJECTS)
def test_a_public_name_has_a_whole_docstring(name):
    """The effect in one line, each argument, what it raises itself, and since when it is there."""
    public = PUBLIC_OBJECTS[name]
    text = inspect.getdoc(public)
    effect, blank = text.split("\n")[:2]
    assert effect.endswith((".", ":"))
    assert not blank
    assert ".. versionadded:: " in text

    called = public if inspect.isfunction(public) else vars(public).get("__init__")
    arguments = [] if called is None else list(inspect.signature(called).parameters)
    for argument in arguments:
        assert argument == "self" or re.search(rf"^    {argument}: \S", text, re.MULTILINE), f"{argument} is not explained"
    raises = [node for node in ast.walk(ast.parse(inspect.getsource(public).strip())) if isinstance(node, ast.Raise)]
    assert not raises or "Raises:\n    " in text or not inspect.isfunction(public)


def test_a_typed_project_uses_every_public_name():
    """What type checkers read is all that is public: the signals of Celery and the paths in settings too."""
    text = "\n".join(path.read_text() for path in (ROOT / "tests" / "typed_project").glob("*.py"))
    names = {*PUBLIC_OBJECTS, "context_publishing", "context_restored"}
    assert {name for name in names if not re.search(rf"\b{name}\b", text)} == set()


def test_an_unknown_name_is_an_attribute_error():
    """The lazy package says so as any other module does."""
    with pytest.raises(AttributeError, match="module 'dtx_telemetry' has no attribute 'get_loger'"):
        dtx_telemetry.get_loger  # noqa: B018


def test_it_works_without_the_extras():
    """With Celery, Channels and OpenTelemetry absent, set-up, labels, loggers and the middleware do what they do."""
    code = """
from django.conf import settings
settings.configure(INSTALLED_APPS=["dtx_telemetry"], MIDDLEWARE=["dtx_telemetry.middleware.TelemetryMiddleware"],
                   ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x")
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("api/teams/5/", lambda request: HttpResponse("ok"))]
import django
django.setup()
import dtx_telemetry
from dtx_telemetry import extract_labels, get_logger, init_telemetry
init_telemetry()
get_logger(__name__).info("hello", labels_found=extract_labels("/api/teams/5/"))
from django.test import Client
print(Client().get("/api/teams/5/").headers["X-Request-ID"])
"""
    output = without(EXTRAS, code)

    assert '"event":"hello"' in output.replace(" ", "")
    assert "request_completed" in output


@pytest.mark.parametrize(
    ("absent", "statement", "extra"),
    [
        (("celery", "kombu"), "import dtx_telemetry.celery", "celery"),
        (("channels",), "from dtx_telemetry import telemetry_consumer", "channels"),
        (("channels",), "import dtx_telemetry.layers", "channels"),
    ],
)
def test_what_needs_an_extra_says_which(absent, statement, extra):
    """The error is an `ImportError` that names the extra, with a command that pip can follow: the library is on no index."""
    code = f"""
try:
    {statement}
except ImportError as error:
    print(error)
"""
    output = without(absent, code)
    assert f"needs the extra [{extra}]: pip install " in output
    wanted = list(map(Requirement, shlex.split(output.partition("pip install ")[2])))
    assert wanted == list(map(Requirement, extra_requirements(extra)))


def test_an_extra_of_extras_is_told_by_what_they_stand_for():
    """Each requirement once, and none that names this library."""
    command, _, rest = install_command("demo", "nothing").partition(" install ")
    wanted = [str(Requirement(line)) for line in shlex.split(rest)]
    stands_for = {line for extra in ("demo", "celery", "channels", "otel", "viewer") for line in extra_requirements(extra)}
    assert command == "pip"
    assert sorted(wanted) == sorted(str(Requirement(line)) for line in stands_for - {"dtx_telemetry[all]"})


def extra_requirements(extra):
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    return metadata["options.extras_require"][extra].split()


@pytest.mark.parametrize(
    ("broken", "where"),
    [("billiard", "connect_celery"), ("kombu.utils", "connect_celery"), ("channels.layers", "wrap_channel_layers")],
)
def test_an_installed_package_that_cannot_be_imported_is_reported(broken, where):
    """Django starts, and an error tells what is not observed and why, for an installed Celery or Channels that is broken."""
    code = f"""
import sys
sys.modules[{broken!r}] = None
import django
from django.conf import settings
settings.configure(INSTALLED_APPS=["dtx_telemetry"])
django.setup()
"""
    lines = parse_lines(run_python(code, LOG_FORMAT="json"))
    (line,) = with_event(lines, "telemetry_failed")
    assert line["where"] == where
    assert broken in line["error"]


def test_the_metadata_is_complete():
    """Name, version, Pythons and extras are those of the design, and ``all`` and ``demo`` contain what they should."""
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg")

    assert metadata["metadata"]["name"] == "dtx_telemetry"
    assert metadata["options"]["python_requires"] == ">=3.11"
    assert set(metadata["options.extras_require"]) == {"celery", "channels", "otel", "viewer", "all", "demo", "test"}
    assert metadata["options.extras_require"]["all"].strip() == "dtx_telemetry[celery,channels,otel,viewer]"
    assert metadata["options.entry_points"]["pytest11"].strip() == "dtx_telemetry = dtx_telemetry.pytest_plugin"
    base = metadata["options"]["install_requires"]
    assert not any(name in base for name in EXTRAS)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built in a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("setup.py", "setup.cfg", "README.rst", "LICENSE"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / "dtx_telemetry").symlink_to(ROOT / "dtx_telemetry")
    (folder / "tests").symlink_to(ROOT / "tests")
    command = [sys.executable, "setup.py", "-q", "bdist_wheel", "--dist-dir", "wheels"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (path,) = (folder / "wheels").iterdir()
    with zipfile.ZipFile(path) as wheel:
        yield wheel


def test_the_wheel_holds_the_whole_package(wheel):
    """Every file of it, sub-packages and ``py.typed`` included; tests are not in it."""
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    files = {path for path in (ROOT / "dtx_telemetry").rglob("*") if path.is_file() and path.parent.name != "__pycache__"}
    assert names == {str(path.relative_to(ROOT)) for path in files}
    assert "dtx_telemetry/py.typed" in names


def test_the_page_on_pypi_shows_the_waterfall(wheel):
    """As text, since PyPI shows no picture of the repository; every picture that is left has an address of its own."""
    (path,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    page = wheel.read(path).decode()
    assert page.index("└ task mysite.t") < page.index("**Before.**")
    pictures = re.findall(r"image:: (.*)", page)
    assert pictures
    assert all(picture.startswith("https://") for picture in pictures)


def test_it_can_be_built_without_its_readme(tmp_path):
    """An image may take the code alone; setuptools says that a file is missing, and goes on."""
    for name in ("setup.py", "setup.cfg"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "setup.py", "-q", "--name"]
    assert subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout == "dtx_telemetry\n"


def test_the_top_of_the_repository_is_tidy():
    """It holds the project's files and nothing else; what is hidden is a tool's."""
    allowed = {"setup.cfg", "setup.py", "dtx_telemetry", "tests", "tox.ini", "README.rst", "LICENSE", "CHANGELOG.rst"}
    found = {path.relative_to(ROOT).parts[0] for path in sources()}

    assert {name for name in found if not name.startswith(".")} <= allowed


def test_no_file_names_the_machine_that_it_was_written_on():
    """No absolute path of anybody's home or work place, no registry but the public one."""
    home = re.compile(
        r"(?<![\w.:/}])/(?:home|root|Users|work|farm|opt)/\w|/tmp/[vs]\w*/|https?://[\w.-]*(?:artifactory|nexus|devpi)"
    )
    for path in sources():
        if path.suffix in TEXT and path != Path(__file__):
            for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
                assert not home.search(line), f"{path}:{number}: {line}"


def test_modules_and_functions_stay_small():
    """No module of the package is over 300 lines, no function over 40."""
    for path in (ROOT / "dtx_telemetry").rglob("*.py"):
        text = path.read_text()
        assert text.count("\n") <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno - node.lineno < 40, f"{path}: {node.name}"


def test_the_oldest_versions_that_are_stated_are_those_that_are_tested():
    """What the environment ``oldest`` pins is each minimum of the metadata, and nothing else."""
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    stated = [metadata["options"]["install_requires"], *metadata["options.extras_require"].values()]
    minimums = re.findall(r"^([\w-]+)>=([\d.]+)", "\n".join(stated), re.MULTILINE)
    pinned = [line for line in (ROOT / "tests" / "oldest.txt").read_text().splitlines() if not line.startswith("#")]
    assert pinned == sorted({f"{name}=={version}" for name, version in minimums})


def test_it_needs_no_django() -> None:
    """A bot is no Django project."""
    code = """
        import dtx_telemetry
        dtx_telemetry.init_telemetry()
        with dtx_telemetry.operation("turn", "r1"):
            pass
        import sys
        assert "django.conf" not in sys.modules or not sys.modules["django.conf"].settings.configured
    """
    assert '"event":"operation_completed"' in run_python(code, LOG_FORMAT="json")


def test_without_the_extra_the_start_stops_and_names_it() -> None:
    """With the command that installs it."""
    said = run_python(
        """
        import sys

        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == "opentelemetry":
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        sys.meta_path.insert(0, Missing())
        from dtx_telemetry import init_telemetry
        from dtx_telemetry.errors import NotInstalledError
        try:
            init_telemetry()
        except NotInstalledError as error:
            print(error)
        """,
        OTEL_ENABLED="true",
    )
    assert "OTEL_ENABLED needs the extra [otel]: pip install" in said
    assert "opentelemetry-sdk" in said
