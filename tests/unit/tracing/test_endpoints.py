"""What is said about the address of a collector that does not take what is sent to it."""

import pytest

from dtx_telemetry.tracing.sdk.endpoints import meaning_of, mistake_in

BASE, OWN = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


@pytest.mark.parametrize(
    "address",
    [
        "http://collector:4318/v1/traces",
        "http://gateway/otlp/v1/traces",
        "https://api.example.com/v1/traces",
        "http://[::1]/v1/traces",
    ],
)
@pytest.mark.parametrize("variable", [BASE, OWN])
def test_of_a_good_address_nothing(monkeypatch: pytest.MonkeyPatch, variable: str, address: str) -> None:
    """Whichever variable it comes from."""
    monkeypatch.setenv(variable, address.removesuffix("/v1/traces") if variable == BASE else address)
    assert mistake_in(address, "traces", is_grpc=False) is None


@pytest.mark.parametrize(
    ("given", "signal", "named"),
    [
        ("http://c:4318/v1/traces", "traces", "/v1/traces"),
        ("http://c:4318/v1/traces/", "traces", "/v1/traces"),
        ("http://c:4318/v1/traces", "metrics", "/v1/traces"),
        ("http://c/otlp/v1/logs", "logs", "/v1/logs"),
    ],
)
def test_a_path_in_the_base(monkeypatch: pytest.MonkeyPatch, given: str, signal: str, named: str) -> None:
    """The SDK appends each signal's path to it."""
    monkeypatch.setenv(BASE, given)
    address = f"{given.rstrip('/')}/v1/{signal}"
    assert mistake_in(address, signal, is_grpc=False) == f"{BASE} is the base for all signals: write it without {named}."


@pytest.mark.parametrize("address", ["http://c:4318", "http://c:4318/"])
def test_no_path_in_a_signals_own(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """The SDK takes it as it stands."""
    monkeypatch.setenv(OWN, address)
    assert mistake_in(address, "traces", is_grpc=False) == f"{OWN} is used as it stands: write it with its path, /v1/traces."


def test_another_signals_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copied from its neighbour."""
    monkeypatch.setenv(OWN, "http://c:4318/v1/logs")
    said = mistake_in("http://c:4318/v1/logs", "traces", is_grpc=False)
    assert said == f"{OWN} has the path of another signal: it should be /v1/traces."


def test_the_other_protocols_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """4317 is for gRPC and 4318 for HTTP."""
    monkeypatch.setenv(BASE, "http://c:4317")
    said = mistake_in("http://c:4317/v1/traces", "traces", is_grpc=False)
    assert said == f"{BASE}: 4317 is the port for gRPC. Use 4318, or set OTEL_EXPORTER_OTLP_PROTOCOL=grpc."
    assert mistake_in("c:4317", "traces", is_grpc=True) is None
    assert mistake_in("c:4318", "traces", is_grpc=True) == f"{BASE}: 4318 is the port for HTTP. gRPC's is 4317."


@pytest.mark.parametrize("address", ["c:4318/v1/traces", "c/v1/traces", "127.0.0.1:4399/v1/traces"])
def test_no_scheme(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Only gRPC takes a host and a port."""
    monkeypatch.setenv(BASE, address.removesuffix("/v1/traces"))
    said = mistake_in(address, "traces", is_grpc=False)
    assert said == f"{BASE}: write it with http:// or https:// before it."


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Failed to export spans batch code: 401, reason: Unauthorized", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("Failed to export logs to c:4317, error code: StatusCode.UNAUTHENTICATED", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("Failed to export logs batch code: 404, reason: Not Found", "OTEL_LOGS_EXPORTER=none"),
        ("Failed to export logs to c:4317, error code: StatusCode.UNIMPLEMENTED", "OTEL_LOGS_EXPORTER=none"),
        ("Failed to export logs batch due to timeout, max retries or shutdown.", "Is the collector up?"),
    ],
)
def test_what_an_answer_means(said: str, meant: str) -> None:
    """One who refuses is up."""
    assert meant in meaning_of(said, "logs")
