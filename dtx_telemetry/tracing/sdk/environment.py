"""What OpenTelemetry's own variables say, if the SDK has no public way to read them: exporters, sampler, ids, resource."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio, Sampler

from ...config import ImproperlyConfigured
from .exporters import among_greenlets

__all__ = ["SIGNALS", "Blueprint", "make_resource", "read_blueprint"]

SIGNALS = ("traces", "metrics", "logs")
DEFAULT_SERVICE_NAME = "dtx-backend"
DEFAULT_RATIO = 0.1
_PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What providers are made of, read and imported at the start: a forked child only has to make them.

    Attributes:
        exporters: by signal the classes, or functions, that make an exporter. Empty for ``none``.
        make_sampler: makes the sampler. None if the SDK reads its variable itself.
        make_ids: makes the generator of ids. None for the SDK's.
    """

    exporters: dict[str, list[Callable[[], Any]]]
    make_sampler: Callable[[], Sampler] | None
    make_ids: Callable[[], IdGenerator] | None


def read_blueprint() -> Blueprint:
    """Read the variables and import what they name.

    Raises:
        ImproperlyConfigured: nothing is registered under a name, or a protocol is unknown.
    """
    exporters = {signal: [_exporter(signal, name) for name in _exporter_names(signal)] for signal in SIGNALS}
    return Blueprint(exporters, _sampler(), _id_generator())


def make_resource() -> Resource:
    """Return the resource of this process, by ``OTEL_SERVICE_NAME``, ``OTEL_RESOURCE_ATTRIBUTES`` and the detectors."""
    resource = Resource.create()
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        return resource.merge(Resource({SERVICE_NAME: DEFAULT_SERVICE_NAME}))
    return resource


def _given(name: str) -> str:
    return os.environ.get(name, "").strip()


def _exporter_names(signal: str) -> list[str]:
    given = _given(f"OTEL_{signal.upper()}_EXPORTER") or "otlp"
    names = [name.strip() for name in given.split(",") if name.strip()]
    return [] if "none" in names else names


def _exporter(signal: str, name: str) -> Callable[[], Any]:
    variable = f"OTEL_{signal.upper()}_EXPORTER"
    if name == "otlp":
        variable, protocol = _protocol(signal)
        if protocol not in _PROTOCOLS:
            raise ImproperlyConfigured(
                f"the environment variable {variable} is {protocol!r}; accepted: {', '.join(_PROTOCOLS)}."
            )
        name = _PROTOCOLS[protocol]
    make = _load(f"opentelemetry_{signal}_exporter", name, variable)
    return among_greenlets(make) if name == _PROTOCOLS["grpc"] else make


def _protocol(signal: str) -> tuple[str, str]:
    own, common = f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"
    return (own, _given(own)) if _given(own) else (common, _given(common) or "http/protobuf")


def _sampler() -> Callable[[], Sampler] | None:
    name, argument = _given("OTEL_TRACES_SAMPLER"), _given("OTEL_TRACES_SAMPLER_ARG")
    if name in {"", "parentbased_traceidratio"}:
        ratio = _ratio(argument)
        return lambda: ParentBasedTraceIdRatio(ratio)
    if not entry_points(group="opentelemetry_traces_sampler", name=name):
        raise _unknown("OTEL_TRACES_SAMPLER", name, "opentelemetry_traces_sampler")
    if name.removeprefix("parentbased_") in {"always_on", "always_off", "traceidratio"}:
        return None  # the SDK reads its own
    factory = _load("opentelemetry_traces_sampler", name, "OTEL_TRACES_SAMPLER")
    return lambda: factory(argument or None)


def _ratio(argument: str) -> float:
    try:
        ratio = float(argument or DEFAULT_RATIO)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise ImproperlyConfigured(
            f"the environment variable OTEL_TRACES_SAMPLER_ARG is {argument!r}; accepted: a number from 0 to 1."
        )
    return ratio


def _id_generator() -> Callable[[], IdGenerator] | None:
    name = _given("OTEL_PYTHON_ID_GENERATOR")
    return _load("opentelemetry_id_generator", name, "OTEL_PYTHON_ID_GENERATOR") if name else None


def _load(group: str, name: str, variable: str) -> Callable[..., Any]:
    """Import what is registered as *name* in *group*."""
    for entry_point in entry_points(group=group, name=name):
        loaded: Callable[..., Any] = entry_point.load()
        return loaded
    raise _unknown(variable, name, group)


def _unknown(variable: str, name: str, group: str) -> ImproperlyConfigured:
    names = sorted({entry_point.name for entry_point in entry_points(group=group)})
    if group.endswith("_exporter"):
        names = ["otlp", "none", *names]
    return ImproperlyConfigured(f"the environment variable {variable} is {name!r}; accepted: {', '.join(names)}.")
