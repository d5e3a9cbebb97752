"""Checks of ``MIDDLEWARE``: ours is in it, once, and before any that answers requests itself."""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

from ..config import get_settings

__all__ = ["check_middleware", "place_of_ours"]

_ID = "dtx_telemetry"
_OURS = "dtx_telemetry.middleware.TelemetryMiddleware"
#: Middlewares of others that answer a request or change the status of an answer, and under which settings.
_ANSWERING: dict[str, Callable[[], Any]] = {
    "corsheaders.middleware.CorsMiddleware": lambda: True,
    "django.middleware.cache.CacheMiddleware": lambda: True,
    "django.middleware.cache.FetchFromCacheMiddleware": lambda: True,
    "django.middleware.common.CommonMiddleware": lambda: settings.APPEND_SLASH or settings.PREPEND_WWW,
    "django.middleware.security.SecurityMiddleware": lambda: settings.SECURE_SSL_REDIRECT,
    "maintenance_mode.middleware.MaintenanceModeMiddleware": lambda: True,
}
_KNOWN = ("django.", "whitenoise.", "dtx_telemetry.")
_RESPONSE = re.compile(r"\w*Response\w*|\w*Redirect|redirect|render")
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_HINT = f'Put "{_OURS}" first in MIDDLEWARE.'


def check_middleware() -> Iterator[checks.CheckMessage]:
    """Yield E001, W001 and W002."""
    paths = list(settings.MIDDLEWARE)
    ours = [index for index, path in enumerate(paths) if _is_ours(path)]
    if len(ours) > 1:
        yield checks.Error(
            f"TelemetryMiddleware is in MIDDLEWARE {len(ours)} times.",
            hint=f"Leave only the first entry: {_OURS!r}.",
            id=f"{_ID}.E001",
        )
    if not get_settings().enabled:
        return
    if not ours and getattr(settings, "ROOT_URLCONF", None):
        yield checks.Warning("TelemetryMiddleware is not in MIDDLEWARE: requests have no id.", hint=_HINT, id=f"{_ID}.W001")
    for path in paths[: ours[0]] if ours else ():
        if _may_answer(path):
            yield checks.Warning(
                f"TelemetryMiddleware stands behind {path!r}, which may answer requests first: those have no id and no line.",
                hint=_HINT,
                id=f"{_ID}.W002",
            )


def place_of_ours() -> int | None:
    """Return the index of our middleware in ``MIDDLEWARE``, ``None`` without it."""
    return next((index for index, path in enumerate(settings.MIDDLEWARE) if _is_ours(path)), None)


def _is_ours(path: str) -> bool:
    """Return True for our middleware, also by another name, and for a subclass."""
    if path == _OURS:
        return True
    middleware = _imported(path)
    return isinstance(middleware, type) and any(
        f"{kind.__module__}.{kind.__qualname__}" == _OURS for kind in middleware.__mro__
    )


def _imported(path: str) -> Any:
    """Return what *path* names, ``None`` if it cannot be imported: Django says so itself."""
    try:
        return import_string(path)
    except Exception:
        return None


def _may_answer(path: str) -> bool:
    if path in _ANSWERING:
        return bool(_ANSWERING[path]())
    if path.startswith(_KNOWN):
        return False
    middleware = _imported(path)
    rest = _names_of_rest(middleware)
    return any(_makes_response_first(function, rest) for function in _functions_of(middleware))


def _functions_of(middleware: Any) -> Iterator[_Function]:
    """Yield the functions that get a request, as they are written: of a class its methods, of a factory what it returns."""
    if isinstance(middleware, type):
        for name in ("process_request", "__call__", "__acall__"):
            yield from _written_in(inspect.getattr_static(middleware, name, None))
    else:
        yield from _written_in(middleware)[1:]


def _written_in(function: Any) -> list[_Function]:
    """Return *function* and those inside it, as they are written, nothing without their source."""
    if not inspect.isfunction(function):
        return []
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError):
        return []
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _names_of_rest(middleware: Any) -> set[str]:
    """Return the names by which a middleware calls the rest of the chain: what it is handed, and what it keeps that in."""
    is_class = isinstance(middleware, type)
    written = _written_in(inspect.getattr_static(middleware, "__init__", None) if is_class else middleware)
    handed = [argument.arg for argument in written[0].args.args[int(is_class) :]] if written else []
    kept = [
        _named(target)
        for node in (ast.walk(written[0]) if handed else ())
        if isinstance(node, ast.Assign) and _named(node.value) == handed[0]
        for target in node.targets
        if _named(target)
    ]
    return {"get_response", *handed[:1], *kept}


def _makes_response_first(function: _Function, rest: set[str]) -> bool:
    """Return True if it returns a response of its own before it hands the request on."""
    nodes = list(ast.walk(function))
    handed_on = [node.lineno for node in nodes if isinstance(node, ast.expr) and _named(node) in rest]
    own = {
        _named(target)
        for node in nodes
        if isinstance(node, ast.Assign) and _is_response(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    made = [
        node.lineno
        for node in nodes
        if isinstance(node, ast.Return) and node.value is not None and (_is_response(node.value) or _named(node.value) in own)
    ]
    return bool(made) and min(made) < min(handed_on, default=min(made) + 1)


def _is_response(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and _RESPONSE.fullmatch(_named(value.func)) is not None


def _named(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
