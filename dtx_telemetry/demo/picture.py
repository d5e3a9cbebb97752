"""A waterfall as a picture, for pages where nothing runs."""

from io import StringIO

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME

from ..viewer.model.layout import Waterfall
from ..viewer.show.waterfall import render

__all__ = ["draw"]

_COLUMNS = 104
# As rich's own, without the font that it would load from elsewhere.
_FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">
<style>
.{unique_id}-matrix, .{unique_id}-title {{
  font: {char_height}px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; line-height: {line_height}px;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


def draw(waterfall: Waterfall) -> str:
    """Return *waterfall* as SVG."""
    console = Console(
        file=StringIO(),
        record=True,
        width=_COLUMNS,
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        markup=False,
    )
    for text in render(waterfall, _COLUMNS):
        console.print(text, soft_wrap=True)
    return console.export_svg(title="dtx-telemetry trace", theme=SVG_EXPORT_THEME, code_format=_FORMAT, unique_id="dtx")
