"""What the viewer costs on a large file, beside the tools that people use for the same.

The file holds lines of the demo's shapes. Its size in megabytes is ``DTX_BENCH_MEGABYTES``, 1024 by default, which is some
three million lines. Each subject is a process of its own; what counts is the processor's time that it uses.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..support.viewer_lines import write_lines
from .harness import ROOT, Comparison, times

__all__ = ["comparisons"]

_VIEWER = (sys.executable, "-m", "dtx_telemetry")
_SLOW_JQ = """\
[inputs | select(.duration_ms) | {
  name: (."task.name" // "\\(."http.method") \\(."http.route" | gsub("[0-9]+"; "{id}"))"), took: .duration_ms
}] | group_by(.name) | map(map(.took) as $took | ($took | sort) as $took | {
  name: .[0].name, count: length, p50: $took[length / 2 | floor], p95: $took[length * 0.95 | floor], max: $took[-1]
})
"""
_ERRORS_JQ = """\
[inputs | select(.level == "error") | {error: (.error // .event), timestamp, id: ."request.id"}] | group_by(.error) | map({
  error: .[0].error, count: length, first: .[0].timestamp, last: .[-1].timestamp, id: .[-1].id
})
"""
_SLOW_PYTHON = """\
import collections, json, re, sys
groups = collections.defaultdict(list)
for text in open(sys.argv[1]):
    line = json.loads(text)
    if "duration_ms" in line:
        name = line.get("task.name") or f"{line.get('http.method')} {re.sub('[0-9]+', '{id}', line.get('http.route', ''))}"
        groups[name].append(line["duration_ms"])
for name, found in groups.items():
    found.sort()
    print(name, len(found), found[len(found) // 2], found[len(found) * 95 // 100], found[-1])
"""
_ERRORS_PYTHON = """\
import json, sys
groups = {}
for text in open(sys.argv[1]):
    line = json.loads(text)
    if line["level"] == "error":
        group = groups.setdefault(line.get("error") or line["event"], [0, line["timestamp"], None, None])
        group[0] += 1
        group[2:] = line["timestamp"], line["request.id"]
for name, found in groups.items():
    print(name, *found)
"""
_TELL_PEAK = """
import sys
from dtx_telemetry.viewer.cli import main

main(sys.argv[1:])
with open("/proc/self/status") as status:
    sys.stderr.write(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


def comparisons(rounds: int) -> Iterator[Comparison]:
    """Compare ``trace`` with grep, and ``slow``, ``list`` and ``errors`` with jq and with the obvious Python."""
    megabytes = int(os.environ.get("DTX_BENCH_MEGABYTES", "1024"))
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder, "large.json"), Path(folder, "small.json")
        wanted = write_lines(large, megabytes * 1024 * 1024)
        small_wanted = write_lines(small, max(megabytes // 10, 1) * 1024 * 1024)
        file = str(large)
        turns = min(rounds, 5)
        yield _compare(
            f"One request's life in {megabytes} MB",
            {"dtx-telemetry trace": (*_VIEWER, "trace", wanted, file), "grep -F": ("grep", "-F", wanted, file)},
            turns,
        )
        yield _memory(
            "Memory of trace",
            {"large": ("trace", wanted, file), "a tenth": ("trace", small_wanted, str(small))},
        )
        for command, jq, python in (
            ("slow", _SLOW_JQ, _SLOW_PYTHON),
            ("list", _SLOW_JQ, _SLOW_PYTHON),
            ("errors", _ERRORS_JQ, _ERRORS_PYTHON),
        ):
            subjects = {
                f"dtx-telemetry {command}": (*_VIEWER, command, file),
                "json.loads": (sys.executable, "-c", python, file),
                "jq": ("jq", "-n", jq, file),
            }
            yield _compare(f"{command} over {megabytes} MB", subjects, min(turns, 3))


def _compare(title: str, subjects: dict[str, Sequence[str]], turns: int) -> Comparison:
    """Run *subjects* in turns; the first is compared with each of the others that are installed."""
    subjects = {name: command for name, command in subjects.items() if shutil.which(command[0])}
    uses: dict[str, list[float]] = {name: [] for name in subjects}
    for command in subjects.values():
        _run(command)  # so that the file, and what they are made of, is in memory for all
    for _ in range(turns):
        for name, command in subjects.items():
            uses[name].append(_run(command))
    costs = {name: statistics.median(found) for name, found in uses.items()}
    first, *others = subjects
    return Comparison(title, costs, {f"{first} to {other}": times(first, other)(costs) for other in others})


def _memory(title: str, subjects: dict[str, Sequence[str]]) -> Comparison:
    megabytes = {f"{name}, MB": _peak_of(arguments) / 1e6 for name, arguments in subjects.items()}
    return Comparison(title, {}, megabytes)


def _peak_of(arguments: Sequence[str]) -> int:
    """Return the bytes of memory that the viewer takes at most, by its own word: the system counts what forked it as well."""
    command = [sys.executable, "-c", _TELL_PEAK, *arguments]
    told = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True).stderr
    return int(told) * 1024


def _run(command: Sequence[str]) -> float:
    """Return the microseconds of processors that a process used."""
    # Into a file: grep that writes to /dev/null ends at the first line that it finds.
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, env={**os.environ, "LC_ALL": "C.UTF-8"})
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{command[:4]} ended with {process.returncode}")
    return (used.ru_utime + used.ru_stime) * 1e6
