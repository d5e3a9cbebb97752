"""``dashboards``: the Grafana dashboards and Prometheus alert rules that come with the package, as files."""

import sys
from importlib.resources import files
from pathlib import Path

from ..errors import UsageError
from ..query import FOUND

__all__ = ["run"]


def run(folder: str, *, overwrite: bool = False) -> int:
    """Write the files below *folder*, which is made if it is not there, and print their paths.

    Args:
        folder: where to.
        overwrite: replace files that somebody has changed.

    Raises:
        UsageError: a file is there already, with other text, or cannot be written.
    """
    below, source = Path(folder), files("dtx_telemetry").joinpath("dashboards")
    texts = {Path(kind.name, file.name): file.read_text() for kind in source.iterdir() for file in kind.iterdir()}
    changed = [path for path in sorted(texts) if _differs(below / path, texts[path])]
    if changed and not overwrite:
        raise UsageError(f"{below / changed[0]} is there already and differs: name another folder, or use --overwrite")
    for path in sorted(texts):
        target = below / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(texts[path])
        except OSError as error:
            raise UsageError(f"{target} cannot be written: {error.strerror or error}") from error
        sys.stdout.write(f"{target}\n")
    return FOUND


def _differs(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(errors="replace") != text
