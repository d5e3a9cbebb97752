"""A picture of the click: the waterfall of ``dtx-telemetry trace`` as SVG."""

import io
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from ..viewer.model.join import join
from ..viewer.model.layout import lay_out
from ..viewer.reading.line import Line as ViewerLine
from ..viewer.show.waterfall import render
from .errors import DemoError
from .lines import Line

__all__ = ["write"]

_COLUMNS = 100


def write(request_id: str, events: Iterable[Line], path: Path) -> None:
    """Write what the lines of *request_id* tell to *path*.

    Raises:
        DemoError: the file cannot be written.
    """
    life = join(ViewerLine(line.fields, b"") for line in events if line.fields.get("request.id") == request_id)
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for text in render(lay_out(life), _COLUMNS):
        console.print(text)
    try:
        path.write_text(console.export_svg(title=f"dtx-telemetry trace {request_id}"), encoding="utf-8")
    except OSError as error:
        raise DemoError(f"--svg {path}: {error.strerror}") from error
