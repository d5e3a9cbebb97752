"""Labels: whether the project's routes name any resource."""

import re
import sys
from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, get_resolver

from ..config import extract_labels, get_settings
from ..http.requests import route_template
from .report import Finding, noted, works

__all__ = ["look_at_labels", "routes"]

#: A segment, and after it the place of an id: ``orders/<int:pk>/``.
_NAMED = re.compile(r"([\w-]+)/(?=[<{])")
_MOST_NAMED = 5
_INSTALLED = ("site-packages", "dist-packages")


def look_at_labels() -> Iterator[Finding]:
    """Say how many routes have labels. If none has, name the words that might be resources."""
    known = routes()
    labelled = [route for route in known if extract_labels(route)]
    facts = {"routes": len(known), "labelled": len(labelled)}
    if labelled:
        yield works(f"{len(labelled)} of {len(known)} routes have labels, such as {labelled[0]}", **facts)
        return
    words = list(dict.fromkeys(word for route in known for word in _NAMED.findall(route)))[:_MOST_NAMED]
    prefixes = ", ".join(get_settings().label_prefixes)
    yield noted(
        f"no route has labels: under {prefixes} there is no word of RESOURCES",
        f"Your words may be {', '.join(words)}: set RESOURCES and LABEL_PREFIXES in DTX_TELEMETRY." if words else "",
        words=words,
        **facts,
    )


def routes() -> list[str]:
    """Return the routes of the project as path templates, those of Django's admin aside, its own before those of packages."""
    found = list(_routes(get_resolver().url_patterns))
    return list(dict.fromkeys(route for route, _ in sorted(found, key=lambda each: each[1])))


def _routes(patterns: list[Any], before: str = "") -> Iterator[tuple[str, bool]]:
    """Yield each route, and whether it is an installed package's."""
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            module = sys.modules.get(getattr(pattern.callback, "__module__", None) or "")
            yield route_template(route) or "", any(part in str(getattr(module, "__file__", "")) for part in _INSTALLED)
        elif pattern.app_name != "admin":
            yield from _routes(pattern.url_patterns, route)
