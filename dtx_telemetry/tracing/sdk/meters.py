"""A meter provider that outlives a fork: its instruments measure into the provider of the process that measures.

The SDK's provider is not safe to fork. A child inherits what the parent has counted, and exports it once more. It also inherits
locks that a thread of the parent held. Whoever got an instrument before the fork keeps it, so the instrument has to know.
"""

from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.metrics import (
    CallbackT,
    Counter,
    Histogram,
    Meter,
    MeterProvider,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.metrics import _Gauge as Gauge

from .processes import PerProcess

__all__ = ["ForkedMeterProvider"]


class _Counter(Counter):
    """Adds to the counter of this process."""

    def __init__(self, real: PerProcess[Any]) -> None:
        self._real = real

    def add(self, amount: float, *args: Any, **kwargs: Any) -> None:
        if (real := self._real.get()) is not None:
            real.add(amount, *args, **kwargs)


class _UpDownCounter(UpDownCounter):
    """Adds to the counter of this process."""

    def __init__(self, real: PerProcess[Any]) -> None:
        self._real = real

    def add(self, amount: float, *args: Any, **kwargs: Any) -> None:
        if (real := self._real.get()) is not None:
            real.add(amount, *args, **kwargs)


class _Histogram(Histogram):
    """Records into the histogram of this process."""

    def __init__(self, real: PerProcess[Any]) -> None:
        self._real = real

    def record(self, amount: float, *args: Any, **kwargs: Any) -> None:
        if (real := self._real.get()) is not None:
            real.record(amount, *args, **kwargs)


class _Gauge(Gauge):
    """Sets the gauge of this process."""

    def __init__(self, real: PerProcess[Any]) -> None:
        self._real = real

    def set(self, amount: float, *args: Any, **kwargs: Any) -> None:
        if (real := self._real.get()) is not None:
            real.set(amount, *args, **kwargs)


class _ObservableCounter(ObservableCounter):
    """Observed by the provider of each process."""

    def __init__(self) -> None:
        """The real one has the callbacks."""


class _ObservableUpDownCounter(ObservableUpDownCounter):
    """Observed by the provider of each process."""

    def __init__(self) -> None:
        """The real one has the callbacks."""


class _ObservableGauge(ObservableGauge):
    """Observed by the provider of each process."""

    def __init__(self) -> None:
        """The real one has the callbacks."""


class ForkedMeterProvider(MeterProvider):
    """Gives out instruments that measure into the provider that *make* makes, once in each process.

    Args:
        make: makes the SDK's provider.
    """

    def __init__(self, make: Callable[[], MeterProvider]) -> None:
        # What is observed by callbacks has no call that could find the process's provider: it is made with the provider.
        self._observed: list[Callable[[MeterProvider], object]] = []
        self._make = make
        self.real: PerProcess[MeterProvider] = PerProcess(self._make_with_observed)

    def _make_with_observed(self) -> MeterProvider:
        provider = self._make()
        for create in self._observed:
            create(provider)
        return provider

    def get_meter(self, name: str, version: str | None = None, schema_url: str | None = None, attributes: Any = None) -> Meter:
        """Return a meter that creates such instruments."""
        return _Meter(self, name, version, schema_url, attributes)

    def observe(self, create: Callable[[MeterProvider], object]) -> None:
        """Create an observed instrument in this process's provider, if that is there, and in those to come."""
        self._observed.append(create)
        if self.real.is_made and (provider := self.real.get()) is not None:
            create(provider)


class _Meter(Meter):
    def __init__(
        self, provider: ForkedMeterProvider, name: str, version: str | None, schema_url: str | None, attributes: Any
    ) -> None:
        super().__init__(name, version=version, schema_url=schema_url)
        self._provider = provider
        self._arguments = (name, version, schema_url, attributes)

    def _real(self, method: str, name: str, options: dict[str, Any]) -> PerProcess[Any]:
        def make() -> Any:
            provider = self._provider.real.get()
            if provider is None:
                raise RuntimeError("there is no meter provider")
            return getattr(provider.get_meter(*self._arguments), method)(name, **options)

        return PerProcess(make)

    def _observe(self, method: str, name: str, callbacks: Sequence[CallbackT] | None, unit: str, description: str) -> None:
        def create(provider: MeterProvider) -> None:
            meter = provider.get_meter(*self._arguments)
            getattr(meter, method)(name, callbacks=callbacks, unit=unit, description=description)

        self._provider.observe(create)

    def create_counter(self, name: str, unit: str = "", description: str = "") -> Counter:
        return _Counter(self._real("create_counter", name, {"unit": unit, "description": description}))

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> UpDownCounter:
        return _UpDownCounter(self._real("create_up_down_counter", name, {"unit": unit, "description": description}))

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> Histogram:
        options: dict[str, Any] = {"unit": unit, "description": description}
        if explicit_bucket_boundaries_advisory is not None:
            options["explicit_bucket_boundaries_advisory"] = explicit_bucket_boundaries_advisory
        return _Histogram(self._real("create_histogram", name, options))

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> Gauge:
        return _Gauge(self._real("create_gauge", name, {"unit": unit, "description": description}))

    def create_observable_counter(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> ObservableCounter:
        self._observe("create_observable_counter", name, callbacks, unit, description)
        return _ObservableCounter()

    def create_observable_up_down_counter(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> ObservableUpDownCounter:
        self._observe("create_observable_up_down_counter", name, callbacks, unit, description)
        return _ObservableUpDownCounter()

    def create_observable_gauge(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> ObservableGauge:
        self._observe("create_observable_gauge", name, callbacks, unit, description)
        return _ObservableGauge()
