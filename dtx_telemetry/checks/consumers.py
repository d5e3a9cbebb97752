"""The check of consumers: those that can be found in the ASGI application are decorated."""

import functools
import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import FunctionType, MemberDescriptorType, MethodType
from typing import Any

from django.conf import settings
from django.core import checks

from ..config import get_settings
from ..errors import error_text
from ..guard import is_wrapped
from ..logging import every_logger, restore

__all__ = ["check_consumers", "find_consumers", "why_no_application"]

#: Where routers, middlewares of Channels and of others keep what they hand a connection on to.
_WAYS_IN = ("application_mapping", "routes", "callback", "inner", "application", "app", "__wrapped__")
#: Commands that may import the ASGI application. Any other has no use for it.
_COMMANDS = frozenset({"check", "runserver", "telemetry"})


def check_consumers() -> Iterator[checks.CheckMessage]:
    """Yield W005, for each consumer class that is found and is not decorated."""
    if not get_settings().enabled:
        return
    for consumer in find_consumers():
        if not is_wrapped(consumer, "__call__"):
            name = f"{consumer.__module__}.{consumer.__qualname__}"
            yield checks.Warning(
                f"The consumer {name} is not decorated: its lines have no id.",
                hint=f"Write @telemetry_consumer above {consumer.__name__} (from dtx_telemetry import telemetry_consumer).",
                id="dtx_telemetry.W005",
            )


def find_consumers() -> list[type]:
    """Return the consumer classes that the project's ASGI application leads to, in the order in which they are found."""
    return _consumers(_asgi_application())


def _asgi_application() -> Any:
    """Return the application that ``ASGI_APPLICATION`` names, ``None`` without one, or if its import fails."""
    module_name, _, name = (getattr(settings, "ASGI_APPLICATION", None) or "").rpartition(".")
    if not module_name or "channels" not in sys.modules:
        return None
    module = sys.modules.get(module_name)
    if module is None and _COMMANDS.isdisjoint(sys.argv[1:2]):
        return None
    with suppress(Exception, SystemExit):  # the server's to tell
        return getattr(module or _imported(module_name), name, None)
    return None


def why_no_application() -> str:
    """Return why there is nothing behind ``ASGI_APPLICATION``, an empty text if there is."""
    module_name, _, name = str(settings.ASGI_APPLICATION).rpartition(".")
    try:
        return "" if hasattr(_imported(module_name), name) else f"{module_name!r} has no {name!r}"
    except (Exception, SystemExit) as error:
        return error_text(error)


def _imported(module_name: str) -> Any:
    heard = [logger for logger in every_logger() if not logger.disabled]
    try:
        return importlib.import_module(module_name)
    finally:  # get_asgi_application() configures logging again
        for logger in heard:
            logger.disabled = False
        restore()


def _consumers(application: Any) -> list[type]:
    found: dict[type, None] = {}
    parts, seen = [application], set()
    for part in parts:  # which grows
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        consumer = getattr(part, "consumer_class", part)
        if isinstance(consumer, type):
            if hasattr(consumer, "as_asgi") and hasattr(consumer, "dispatch"):
                found[consumer] = None
        else:
            parts += _parts(part)
    return list(found)


def _parts(part: Any) -> list[Any]:
    if isinstance(part, Mapping):
        return list(part.values())
    if isinstance(part, list | tuple):
        return list(part)
    if isinstance(part, functools.partial):
        return [part.func, *part.args, *part.keywords.values()]
    if isinstance(part, MethodType):
        return [part.__self__]
    enclosed = _enclosed_by(part) if isinstance(part, FunctionType) else []
    return enclosed + [_held(part, name) for name in _WAYS_IN]


def _enclosed_by(function: FunctionType) -> list[Any]:
    """Return what *function* has from the function around it: a middleware may be one that makes a function."""
    found = []
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # nothing is in it yet
            found.append(cell.cell_contents)
    return found


def _held(part: Any, name: str) -> Any:
    """Return the attribute *name* of *part*, in a slot too, without running any code of its own. ``None`` without one."""
    held = inspect.getattr_static(part, name, None)
    if not isinstance(held, MemberDescriptorType):
        return held
    with suppress(AttributeError):  # nothing is in the slot yet
        return held.__get__(part)
    return None
