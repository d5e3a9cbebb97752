"""What works in the background: the project's Celery app, its broker, and running workers, asked for their settings."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from django.conf import settings

from ..config import Settings, get_settings
from ..errors import error_text
from .report import Finding, noted, works, wrong

__all__ = ["look_at_celery"]

#: Settings that may well differ between processes that work together.
_OWN_TO_EACH = frozenset(
    {
        *("LOG_LEVEL", "LOG_LEVELS", "LOG_STREAM", "LOG_QUEUE", "LOG_MAX_VALUE_LENGTH", "QUIET_LOGGERS", "FRAMEWORK_LINES"),
        *("DB_QUERIES", "SQL_COMMENTS", "EXCLUDE_PATHS"),
    }
)
_COMMAND = "dtx_telemetry"
_MOST_SHOWN = 60


def look_at_celery(version: str, seconds: float) -> Iterator[Finding]:
    """Look for the project's app and its broker, and ask the workers.

    Args:
        version: of this library, here.
        seconds: how long to wait for the broker, and for answers.
    """
    if find_spec("celery") is None:
        yield noted("Celery is not installed")
        return
    from celery import _state

    app: Any = _state.get_current_app()
    module = _unloaded_module()
    if app.main == "default" and not app.set_as_current:  # Celery's own, made because the project loaded none
        if module is not None:
            package = module.rpartition(".")[0]
            yield wrong(
                f"{module} exists but is not loaded: what this process publishes goes to Celery's default broker.",
                f"Write into {package.replace('.', '/')}/__init__.py: from .celery import app as celery_app",
                module=module,
            )
        else:
            yield noted("no Celery app is loaded")
        return
    yield works(f"the app {app.main!r} is loaded", app=app.main)
    if app.conf.task_always_eager:
        yield noted("task_always_eager: tasks run where they are published")
    broker = _connect(app, seconds)
    yield broker
    if broker.state == "works":
        yield from _ask_workers(app, version, seconds)


def _unloaded_module() -> str | None:
    """Return the module of the project that by Celery's custom has its app, or ``None``."""
    for dotted in (settings.SETTINGS_MODULE, settings.ROOT_URLCONF, getattr(settings, "WSGI_APPLICATION", None)):
        package = str(dotted or "").rpartition(".")[0]
        while package:
            with suppress(ImportError, ValueError):
                if find_spec(f"{package}.celery") is not None:
                    return f"{package}.celery"
            package = package.rpartition(".")[0]
    return None


def _connect(app: Any, seconds: float) -> Finding:
    try:
        return _tried(app, seconds)
    except ImportError as error:
        scheme = str(app.conf.broker_write_url or app.conf.broker_url).partition(":")[0]
        hint = f"Install what it needs: pip install 'celery[{'redis' if scheme == 'rediss' else scheme}]'."
        return wrong(f"the broker's transport {scheme!r} cannot be loaded: {error_text(error)}", hint, broker=scheme)


def _tried(app: Any, seconds: float) -> Finding:
    with app.connection_for_write(connect_timeout=seconds) as connection:
        if connection.transport_cls == "memory":
            return noted("the broker memory:// is for this process alone", broker="memory://")
        address = connection.as_uri()  # without the password
        try:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=seconds)
        except Exception as error:
            hint = "Is it up, and is its address right?"
            return wrong(f"the broker {address} does not answer: {error_text(error)}", hint, broker=address)
    return works(f"the broker {address} answers", broker=address)


def _ask_workers(app: Any, version: str, seconds: float) -> Iterator[Finding]:
    answers: dict[str, Any] = {}
    try:
        for reply in app.control.broadcast(_COMMAND, reply=True, timeout=seconds) or ():
            answers |= reply
    except Exception as error:  # not every transport has remote control
        yield noted(f"running workers could not be asked: {error_text(error)}")
        return
    for name, answer in sorted(answers.items()):
        yield from _compared(name, answer, version)
    if not answers:
        yield noted(f"no running worker answered within {seconds:g} s")


def _shown(key: str, value: object) -> str:
    """Return *value* for people: a default that is long by name."""
    text = repr(value)
    return "the default" if len(text) > _MOST_SHOWN and value == Settings().as_data().get(key) else text


def _compared(name: str, answer: Any, version: str) -> Iterator[Finding]:
    """Compare what a worker says with what is so in this process."""
    if not isinstance(answer, Mapping) or "settings" not in answer:
        yield wrong(
            f"the worker {name} does not know dtx_telemetry: its tasks have no ids.",
            "Put 'dtx_telemetry' into INSTALLED_APPS of its settings. Without Django, write `import dtx_telemetry.celery` "
            "where its app is made. Then restart it.",
            worker=name,
        )
        return
    facts = {"worker": name, "version": answer["version"], "pid": answer["pid"], "settings": answer["settings"]}
    if answer["version"] != version:
        yield wrong(
            f"the worker {name} runs dtx_telemetry {answer['version']}, this process {version}.",
            "Restart it with the same version.",
            **facts,
        )
    ours = get_settings().as_data()
    different = sorted(key for key in ours.keys() | answer["settings"].keys() if ours.get(key) != answer["settings"].get(key))
    for key in different:
        said = f"{key} is {_shown(key, answer['settings'].get(key))} in the worker {name}, {_shown(key, ours.get(key))} here."
        hint = "Give all processes the same environment and settings, and restart them."
        yield noted(said, setting=key, worker=name) if key in _OWN_TO_EACH else wrong(said, hint, setting=key, worker=name)
    if not answer["is_set_up"] and answer["settings"].get("ENABLED"):
        yield wrong(
            f"the worker {name} prints its lines in Celery's own way: worker_hijack_root_logger is off.",
            "Call dtx_telemetry.init_telemetry() where its app is made.",
            worker=name,
        )
    if set(different) <= _OWN_TO_EACH and answer["version"] == version:
        yield works(f"the worker {name} has the same version and settings", **facts)
