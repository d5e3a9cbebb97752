"""The floors of the house: who may know whom."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import dtx_telemetry

from .support.processes import run_python

PACKAGE = Path(dtx_telemetry.__file__).parent
EDGES = ("middleware", "celery", "websocket", "layers", "commands")
#: What stands on the ground, and what of the ground it stands on.
GROUND = {"labels": (), "binding": (), "request_ids": (), "context": ("binding", "request_ids")}
FRAMEWORKS = ("django", "celery", "channels", "kombu", "asgiref", "opentelemetry", "rest_framework")


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """The module's name below the package: ``celery.publishing``; ``celery`` for its ``__init__``."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> Iterator[str]:
    """Every module that *path* imports, anywhere in it; our own as names below the package."""
    package = path.relative_to(PACKAGE.parent).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def ours(path: Path) -> set[str]:
    """The parts of the package that *path* imports: ``celery`` for anything in it."""
    prefix = "dtx_telemetry."
    return {name.removeprefix(prefix).split(".")[0] for name in imports_of(path) if name.startswith(prefix)}


def part_of(path: Path) -> str:
    return name_of(path).split(".")[0]


@pytest.mark.parametrize("module", GROUND)
def test_the_ground_floor_loads_no_framework(module):
    """Importing it alone leaves Django, Celery and Channels unloaded, and of our own nothing above it."""
    code = f"""
        import sys
        import dtx_telemetry.{module}
        print(*sorted(name for name in sys.modules if name.split(".")[0] in {FRAMEWORKS} or name.startswith("dtx_telemetry.")))
    """

    assert run_python(code).split() == sorted(f"dtx_telemetry.{name}" for name in (module, *GROUND[module]))


def test_importing_the_package_loads_nothing():
    """The public names come when they are used."""
    code = f"""
        import sys
        import dtx_telemetry
        loaded = {{name.split(".")[0] for name in sys.modules}} & {{"structlog", *{FRAMEWORKS}}}
        print(*loaded, *(name for name in sys.modules if name.startswith("dtx_telemetry.")))
    """

    assert run_python(code).split() == []


def test_the_ground_floor_names_no_framework():
    """Not in any function of it either."""
    for module in GROUND:
        assert not {name.split(".")[0] for name in imports_of(PACKAGE / f"{module}.py")} & set(FRAMEWORKS)
        assert not ours(PACKAGE / f"{module}.py") - set(GROUND)


def test_edges_never_import_each_other():
    """HTTP, Celery, WebSockets, the channel layer and commands know the context, and nothing of one another."""
    seen = {part_of(path) for path in modules()}
    assert seen.issuperset(EDGES)

    for path in modules():
        if part_of(path) in EDGES:
            assert not (ours(path) & set(EDGES)) - {part_of(path)}, path


def test_nothing_below_imports_an_edge():
    """Only the app, the checks, the public names, the demo and the tests' plugin know the edges."""
    above = {"apps", "checks", "demo", "pytest_plugin", "__init__", "", *EDGES}

    for path in modules():
        if part_of(path) not in above:
            assert not ours(path) & set(EDGES), path


def test_edges_of_one_framework_do_not_name_another():
    """Celery's edge works without Channels, the WebSocket's without Celery, HTTP's without both."""
    foreign = {
        "middleware": {"celery", "kombu", "channels"},
        "celery": {"channels"},
        "websocket": {"celery", "kombu"},
        "layers": {"celery", "kombu"},
        "commands": {"celery", "kombu", "channels"},
    }
    for path in modules():
        frameworks = {name.split(".")[0] for name in imports_of(path)}
        assert not frameworks & foreign.get(part_of(path), set()), path


def test_every_module_says_what_is_public():
    """Each that defines anything has an ``__all__``, but for the demo's own Django project."""
    for path in modules():
        body = ast.parse(path.read_text()).body[1:]  # without the docstring
        if body and path.name != "__main__.py" and not name_of(path).startswith("demo."):
            assert any("__all__" in ast.unparse(node) for node in body if isinstance(node, ast.Assign | ast.AnnAssign)), path
