"""The floors of the house: who may know whom."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import dtx_telemetry
from tests.support.processes import run_python

PACKAGE = Path(dtx_telemetry.__file__).parent
#: Every part of the package, and the parts that it may import, deferred imports included. Whatever stands further down
#: knows nothing of what stands above it.
MAY_IMPORT = {
    "errors": set(),
    "guard": set(),
    "events": set(),
    "context": {"errors", "guard", "events"},
    "config": {"errors", "guard", "context", "events"},
    "rendering": {"errors", "guard", "context", "events"},
    "logging": {"errors", "guard", "context", "events", "config", "rendering"},
    "tracing": {"errors", "guard", "context", "events", "config", "rendering", "logging"},
    "http": {"errors", "guard", "context", "events", "config", "rendering", "logging", "tracing"},
    "celery": {"errors", "guard", "context", "events", "config", "rendering", "logging", "tracing"},
    # A decorated HTTP consumer has the same events as a view.
    "websocket": {"errors", "guard", "context", "events", "config", "rendering", "logging", "tracing", "http"},
    "commands": {"errors", "guard", "context", "events", "config", "rendering", "logging", "tracing"},
    "operations": {"errors", "guard", "context", "events", "config", "rendering", "logging", "tracing"},
    "django_tasks": {"errors", "guard", "context", "events", "config", "rendering", "logging", "tracing"},
    "startup": {"config", "logging", "tracing"},
    "middleware": {"errors", "guard", "context", "events", "config", "logging", "tracing", "http", "startup"},
    "layers": {"websocket"},
    "checks": {"errors", "guard", "context", "events", "config", "logging"},
    "pytest_plugin": {"errors", "guard", "context", "events", "config", "rendering", "logging"},
    "apps": {"errors", "guard", "config", "startup", "commands", "celery", "django_tasks", "websocket", "checks"},
    "viewer": {"errors", "rendering", "events"},
    "__main__": {"viewer"},
    "": {"config", "context", "http", "logging", "operations", "startup", "websocket"},
}
#: The same for frameworks. The demo is an application.
FRAMEWORKS = {
    "django": {"config", "http", "websocket", "commands", "django_tasks", "middleware", "apps", "checks"},
    "asgiref": {"http", "middleware", "django_tasks"},
    "celery": {"celery"},
    "kombu": {"celery"},
    "billiard": {"celery"},
    "click": {"celery"},
    "channels": {"websocket"},
    "opentelemetry": {"tracing"},
    "rest_framework": set(),
}
GROUND = ("errors", "guard", "events", "context")


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """The module's name below the package: ``celery.publishing``; ``celery`` for its ``__init__``."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


def part_of(path: Path) -> str:
    return name_of(path).split(".")[0]


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
    parts = {
        name.removeprefix("dtx_telemetry.").split(".")[0] for name in imports_of(path) if name.startswith("dtx_telemetry.")
    }
    return parts & (MAY_IMPORT.keys() - {""} | {"demo"})


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_run_down(path):
    """A module imports nothing but what the table allows its part, in whichever line the import stands."""
    part = part_of(path)
    if part == "demo":
        return
    assert ours(path) - {part} <= MAY_IMPORT[part]
    frameworks = {name.split(".")[0] for name in imports_of(path)} & FRAMEWORKS.keys()
    assert {name for name in frameworks if part not in FRAMEWORKS[name]} == set()


def test_the_table_runs_one_way():
    """No part may import one that may import it."""
    below: dict[str, set[str]] = {}
    for part in list(MAY_IMPORT):
        below[part] = MAY_IMPORT[part]
    for part, parts in below.items():
        assert not {other for other in parts if part in below.get(other, set())}, part


@pytest.mark.parametrize("module", GROUND)
def test_the_ground_floor_loads_no_framework(module):
    """Importing it alone leaves every framework unloaded, and of our own all that stands above it."""
    code = f"""
        import sys
        import dtx_telemetry.{module}
        frameworks = [name for name in sys.modules if name.split(".")[0] in {sorted(FRAMEWORKS)}]
        print(*frameworks, *{{name.split(".")[1] for name in sys.modules if name.startswith("dtx_telemetry.")}})
    """

    assert set(run_python(code).split()) <= {module, *MAY_IMPORT[module]}


def test_importing_the_package_loads_nothing():
    """The public names come when they are used."""
    code = f"""
        import sys
        import dtx_telemetry
        loaded = {{name.split(".")[0] for name in sys.modules}} & {{"structlog", *{sorted(FRAMEWORKS)}}}
        print(*loaded, *(name for name in sys.modules if name.startswith("dtx_telemetry.")))
    """

    assert run_python(code).split() == []


def test_every_module_says_what_is_public():
    """Each that defines anything has an ``__all__``, but for the demo's own Django project."""
    for path in modules():
        body = ast.parse(path.read_text()).body[1:]  # without the docstring
        if body and path.name != "__main__.py" and not name_of(path).startswith("demo."):
            assert any("__all__" in ast.unparse(node) for node in body if isinstance(node, ast.Assign | ast.AnnAssign)), path
