"""The application's own first span, record or measurement settles the providers, as ours does.

The API gives out proxies while no provider is set, and they do nothing. So a span that an application makes before any of our
scopes, in a script for instance, would be lost. Here a proxy that is used asks for the provider first. It is asked when a span
starts and not when a tracer is made, which often happens at import: until then the application may set a provider of its own.

The API's own way, ``OTEL_PYTHON_TRACER_PROVIDER``, does neither. It makes the provider for good at the first ``get_tracer``,
and other programs inherit the variable, in which the name that it holds may not be installed.
"""

from collections.abc import Callable
from typing import Any

from opentelemetry._logs._internal import ProxyLogger
from opentelemetry.metrics._internal.instrument import _ProxyInstrument
from opentelemetry.trace import ProxyTracer

from ...guard import never_raises
from .providers import Providers

__all__ = ["settle_at_first_use", "settle_no_more"]

#: The API's proxies, and the attribute of each that holds the real thing once there is one.
_PROXIES = ((ProxyTracer, "_real_tracer"), (ProxyLogger, "_real_logger"), (_ProxyInstrument, "_real_instrument"))


def settle_at_first_use(providers: Providers) -> None:
    """Let *providers* be found or made when any proxy of the API's is first used in a process."""
    settle: tuple[Callable[[], object], ...] = (providers.tracer, lambda: providers.logger("dtx_telemetry"), providers.meter)
    for (proxy, attribute), first in zip(_PROXIES, settle, strict=True):
        setattr(proxy, attribute, _Slot(attribute, first))


def settle_no_more() -> None:
    """Leave the API's proxies as they were."""
    for proxy, attribute in _PROXIES:
        if isinstance(vars(proxy).get(attribute), _Slot):
            delattr(proxy, attribute)


class _Slot:
    """Stands for the attribute of a proxy. Reading it while it is empty settles the provider."""

    def __init__(self, name: str, settle: Callable[[], object]) -> None:
        self._name = name
        self._settle = never_raises(settle)

    def __get__(self, proxy: object, owner: type | None = None) -> Any:
        if proxy is None:
            return self
        real = vars(proxy).get(self._name)
        if real is None:
            self._settle()
            real = vars(proxy).get(self._name)
        return real

    def __set__(self, proxy: object, real: object) -> None:
        vars(proxy)[self._name] = real
