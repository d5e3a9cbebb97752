"""The floors of the house: who may know whom."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import dtx_telemetry

PACKAGE = Path(dtx_telemetry.__file__).parent
_GROUND = {"errors", "guard", "context", "events"}
_MIDDLE = {*_GROUND, "config", "rendering"}
_EDGE = {*_MIDDLE, "logging", "tracing"}
_EDGES = {"http", "celery", "websocket", "commands", "operations", "django_tasks", "database"}
#: Every part of the package, and the parts that it may import, deferred imports included: what stands further down knows
#: nothing of what stands above it. Behind them the frameworks that it may import.
FLOORS: dict[str, tuple[set[str], set[str]]] = {
    "errors": (set(), set()),
    "guard": (set(), set()),
    "events": (set(), set()),
    "context": ({"errors", "guard", "events"}, set()),
    "config": (_GROUND, {"django"}),
    "rendering": (_GROUND, set()),
    "logging": (_MIDDLE, set()),
    "tracing": ({*_MIDDLE, "logging"}, {"opentelemetry"}),
    "http": (_EDGE, {"django", "asgiref"}),
    "celery": (_EDGE, {"celery", "kombu", "billiard", "click"}),
    # A decorated HTTP consumer has the same events as a view.
    "websocket": ({*_EDGE, "http"}, {"django", "channels"}),
    "commands": (_EDGE, {"django"}),
    "operations": (_EDGE, set()),
    "django_tasks": (_EDGE, {"django", "asgiref"}),
    "database": (_EDGE, {"django"}),
    "startup": ({"config", "context", "logging", "tracing", "database"}, set()),
    "middleware": ({*_GROUND, "config", "logging", "tracing", "http", "startup"}, {"django", "asgiref"}),
    "layers": ({"websocket"}, set()),
    "checks": ({*_GROUND, "config", "logging"}, {"django"}),
    "pytest_plugin": ({*_MIDDLE, "logging"}, set()),
    "apps": ({"errors", "guard", "config", "startup", *_EDGES, "checks"} - {"http", "operations"}, {"django"}),
    "management": ({*_EDGE, *_EDGES, "startup", "checks"}, {"django", "asgiref", "celery", "channels"}),
    "viewer": ({"errors", "events", "rendering"}, set()),
    "__main__": ({"viewer"}, set()),
    "": ({"config", "context", "http", "logging", "operations", "startup", "websocket"}, set()),
}
FRAMEWORKS = {"rest_framework"}.union(*(frameworks for _, frameworks in FLOORS.values()))
# It is an application, and may import whatever one may.
FLOORS["demo"] = (set(FLOORS), FRAMEWORKS)
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix("."): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def imports_of(name: str) -> Iterator[tuple[str, str, bool]]:
    """Every ``(module, name, for types)`` that the module *name* imports, in whatever line."""
    path = MODULES[name]
    package = path.relative_to(PACKAGE.parent).parent.parts
    tree = ast.parse(path.read_text())
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    for_types = {inner for block in blocks for inner in ast.walk(block)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "", node in for_types) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((module, alias.name, node in for_types) for alias in node.names)


def test_imports_run_down():
    """No module imports what its part may not, no two parts know each other, no modules of a part go round in a circle."""
    found: dict[str, set[str]] = {}
    for name in MODULES:
        part = name.partition(".")[0]
        parts, frameworks = FLOORS[part]
        found[name] = set()
        for module, attribute, for_types in imports_of(name):
            ours = module.removeprefix("dtx_telemetry").removeprefix(".")
            if not module.startswith("dtx_telemetry"):
                assert module.partition(".")[0] not in FRAMEWORKS - frameworks, f"{name} imports {module}"
                continue
            inside = f"{ours}.{attribute}".strip(".")
            if not for_types:
                found[name].add(inside if inside in MODULES else ours)
            imported = inside.partition(".")[0]
            if imported in FLOORS:
                assert imported in {*parts, part}, f"{name} imports {inside}"
    for graph in ({part: parts - {part} for part, (parts, _) in FLOORS.items()}, found):
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            raise AssertionError(f"a circle: {' -> '.join(error.args[1])}") from None


def test_every_module_says_what_is_public():
    """Each that defines anything has an ``__all__``, but for the demo's own Django project and Django's commands."""
    for name, path in MODULES.items():
        body = ast.parse(path.read_text()).body[1:]  # without the docstring
        if body and name != "__main__" and not name.startswith(("demo.", "management.commands.")):
            assert any("__all__" in ast.unparse(node) for node in body if isinstance(node, ast.Assign | ast.AnnAssign)), path
