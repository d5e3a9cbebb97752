"""axe-core, which finds what keeps people from using a page: https://github.com/dequelabs/axe-core."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

__all__ = ["axe", "faults_of"]

_RUN = "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(found => done(found.violations))"


def axe() -> str:
    """Return its script; skip if it is not installed, and fail there if ``DTX_REQUIRE_AXE`` is 1."""
    npm = shutil.which("npm")
    if npm is not None:
        root = subprocess.run([npm, "root", "--global"], capture_output=True, text=True, check=True, timeout=180).stdout.strip()
        script = Path(root, "axe-core", "axe.min.js")
        if script.exists():
            return script.read_text()
    if os.environ.get("DTX_REQUIRE_AXE") == "1":
        pytest.fail("there is no axe-core, and DTX_REQUIRE_AXE is 1")
    pytest.skip("there is no axe-core: npm install --global axe-core")


def faults_of(driver: Any, script: str) -> list[str]:
    """Return what *script*, axe-core, finds on the page that is open, each with where."""
    driver.execute_script(script)
    found = driver.execute_async_script(_RUN)
    return [f"{fault['id']}: {node['target']} {node['failureSummary']}" for fault in found for node in fault["nodes"]]
