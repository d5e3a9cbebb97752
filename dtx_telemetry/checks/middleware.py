"""Checks of ``MIDDLEWARE``: ours is there, once, and in front of those that answer requests themselves."""

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

__all__ = ["check_middleware"]

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
                f"TelemetryMiddleware stands behind {path!r}, which may answer a request first: that has no id and no line.",
                hint=_HINT,
                id=f"{_ID}.W002",
            )


def _is_ours(path: str) -> bool:
    """Return True for our middleware, also by another name, and for a subclass."""
    if path == _OURS:
        return True
    middleware = _imported(path)
    return isinstance(middleware, type) and any(
        f"{kind.__module__}.{kind.__qualname__}" == _OURS for kind in middleware.__mro__
    )


def _imported(path: str) -> Any:
    """Return what *path* names, ``None`` where it cannot be imported: Django says so itself."""
    try:
        return import_string(path)
    except Exception:
        return None


def _may_answer(path: str) -> bool:
    if path in _ANSWERING:
        return bool(_ANSWERING[path]())
    return not path.startswith(_KNOWN) and any(map(_makes_response_first, _functions_of(_imported(path))))


def _functions_of(middleware: Any) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the functions that get a request, as they are written: of a class its methods, of a factory what it returns."""
    if isinstance(middleware, type):
        names = ("process_request", "__call__", "__acall__")
        parts = [part for name in names if inspect.isfunction(part := inspect.getattr_static(middleware, name, None))]
    else:
        parts = [middleware] if inspect.isfunction(middleware) else []
    for part in parts:
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(part)))
        except (OSError, SyntaxError):  # no source
            continue
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        yield from functions if isinstance(middleware, type) else functions[1:]


def _makes_response_first(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return True where a response of its own is returned before the request is handed on."""
    handed_on = [node.lineno for node in ast.walk(function) if isinstance(node, ast.expr) and _named(node) == "get_response"]
    made = [
        node.lineno
        for node in ast.walk(function)
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Call) and _RESPONSE.fullmatch(_named(node.value.func))
    ]
    return bool(made) and min(made) < min(handed_on, default=min(made) + 1)


def _named(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
