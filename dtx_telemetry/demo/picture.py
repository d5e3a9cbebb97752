"""A picture of the click, for pages such as the README."""

from pathlib import Path

from ..viewer.model.layout import Waterfall
from ..viewer.show.picture import draw
from .errors import DemoError

__all__ = ["write"]


def write(waterfall: Waterfall, path: Path) -> None:
    """Write *waterfall* to *path*, as SVG.

    Raises:
        DemoError: the file cannot be written.
    """
    try:
        path.write_text(draw(waterfall), encoding="utf-8")
    except OSError as error:
        raise DemoError(f"--svg {path}: {error.strerror}") from error
