"""What has to work where the wheel is installed with one extra, whose name is the argument, and there is nothing else."""

import importlib
import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path

import dtx_telemetry
import dtx_telemetry.middleware

PARTS = {
    "celery": ["dtx_telemetry.celery"],
    "channels": ["dtx_telemetry.layers", "dtx_telemetry.websocket"],
    "otel": ["opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter"],
}
NEEDED = {"celery": "celery", "channels": "channels", "otel": "opentelemetry"}

extra = sys.argv[1]
here = Path(dtx_telemetry.__file__).parent
assert here.parent.name == "site-packages", here
assert (here / "py.typed").exists(), "py.typed is not in the wheel"

for name in dtx_telemetry.__all__:
    if name != "telemetry_consumer" or extra in {"channels", "all"}:
        getattr(dtx_telemetry, name)
for part, modules in PARTS.items():
    if extra in {part, "all"}:
        for module in modules:
            importlib.import_module(module)
    else:
        assert importlib.util.find_spec(NEEDED[part]) is None, f"{NEEDED[part]} is installed without its extra"

assert dtx_telemetry.extract_labels("/api/teams/5/") == {"labels": ["team"], "team.id": 5}
dtx_telemetry.init_telemetry()
with dtx_telemetry.operation("installed"):
    dtx_telemetry.get_logger("wheel").info("installed", version=importlib.metadata.version("dtx_telemetry"))

names = {(entry.group, entry.name) for entry in importlib.metadata.distribution("dtx_telemetry").entry_points}
assert ("pytest11", "dtx_telemetry") in names, names
for group, name in names:
    if group == "console_scripts":
        subprocess.run([Path(sys.executable).with_name(name), "--help"], check=True, timeout=60)
