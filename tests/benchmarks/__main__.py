"""Run all benchmarks of this folder: tables on stdout, and as JSON in a file.

Each module here with a function ``comparisons(rounds)`` is one.
"""

import argparse
import importlib
import json
import pkgutil
import platform
from pathlib import Path

from . import __path__ as folder
from .harness import Comparison
from .paths import Passed

__all__ = ["main"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help="modules to run; without any, all")
    parser.add_argument("--rounds", type=int, default=25, help="turns of each subject (%(default)s)")
    parser.add_argument("--json", type=Path, default=Path(".benchmarks.json"), help="where the results go (%(default)s)")
    options = parser.parse_args()
    results: list[Comparison | Passed] = []
    for name in options.names or _modules():
        for comparison in importlib.import_module(f".{name}", __package__).comparisons(options.rounds):
            print(comparison, flush=True)
            results.append(comparison)
    about = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    options.json.write_text(json.dumps({**about, "tables": [result.as_json() for result in results]}, indent=1) + "\n")


def _modules() -> list[str]:
    names = sorted(module.name for module in pkgutil.iter_modules(folder))
    return [name for name in names if name not in {"__main__", "harness"}]


if __name__ == "__main__":
    main()
