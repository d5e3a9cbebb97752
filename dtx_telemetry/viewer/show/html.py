"""A life as one page that needs nothing else: no script, no asset, and everything that a line holds as text."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from html import escape
from importlib.resources import files
from typing import Any

from ...rendering.terminal import printable
from ..model.layout import Row, Waterfall
from ..reading.line import Line, to_json
from .bars import ticks
from .text import context, day_and_time, describe, length_text, parts_of, repeated_text, time_text

__all__ = ["page"]

_MAX_DEPTH = 5
_TICKS = 5
_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
<header><h1>{title}</h1>{about}</header>
<main>
<div class="axis"><span></span><svg role="img" aria-label="time">{axis}</svg><span></span></div>
{rows}
</main>
</html>
"""


def page(waterfall: Waterfall, match: Callable[[Line], bool]) -> str:
    """Return the page of *waterfall*, with the lines for which *match* holds."""
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    life = waterfall.life
    about = [" · ".join([day_and_time(waterfall.begin), length_text(waterfall.length), *context(life.lines)])]
    about += [f"trace {trace_id}" for trace_id in life.values("trace_id")]
    return _PAGE.format(
        policy=_policy(style),
        style=style,
        title=_text(" ".join(life.values("request.id"))),
        about="".join(f"<p>{_text(text)}</p>" for text in about),
        axis=_axis(waterfall.length),
        rows="\n".join(_row(row, waterfall.length, match) for row in waterfall.rows),
    )


def _policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _text(value: object) -> str:
    return escape(printable(str(value)))


def _axis(length: float) -> str:
    shown = [(100 * tick / length if length else 0.0, text) for tick, text in ticks(length, _TICKS)]
    return "".join(f'<text x="{place:.3f}%" y="80%">{_text(text)}</text>' for place, text in shown if place < 95)


def _row(row: Row, length: float, match: Callable[[Line], bool]) -> str:
    scope, said = row.scope, describe(row)
    lines = "".join(_line(line) for line in scope.lines if match(line))
    error = "".join(f'<p class="error">{_text(text)}</p>' for text in (repeated_text(scope), scope.error) if text)
    about = f'<p class="note">{_text(" · ".join([*said.all_notes, *said.ids]))}</p>'
    return (
        f'<details class="{scope.kind} {said.state}"><summary>'
        f'<span class="name depth-{min(row.depth, _MAX_DEPTH)}" title="{_text(said.title)}">'
        f'<span class="kind">{_text(said.title)}</span> <span class="status">{_text(said.status)}</span></span>'
        f'{_bar(row, length)}<span class="time">{_text(said.took)}</span></summary>'
        f'<div class="lines">{about}{error}<table>{lines}</table></div></details>'
    )


def _bar(row: Row, length: float) -> str:
    queued, start, end = (100 * part / length if length else 0.0 for part in (row.queued, row.start, row.end))
    wait = (
        f'<rect class="wait" x="{queued:.3f}%" y="35%" width="{start - queued:.3f}%" height="30%"/>' if start > queued else ""
    )
    run = f'<rect class="run" x="{min(start, 99.7):.3f}%" y="15%" width="{max(end - start, 0.3):.3f}%" height="70%" rx="2"/>'
    parts = [(100 * begin / length, 100 * (end - begin) / length) for begin, end in row.queries] if length else []
    asked = "".join(
        f'<rect class="query" x="{x:.3f}%" y="40%" width="{max(width, 0.1):.3f}%" height="20%"/>' for x, width in parts
    )
    return f'<svg aria-hidden="true">{wait}{run}{asked}</svg>'


def _line(line: Line) -> str:
    fields, texts = parts_of(line)
    blocks = "".join(_block(str(text)) for text in texts)
    level = f" level-{line.level}" if line.level.isalpha() else ""
    return (
        f'<tr class="{level.strip()}"><td>{_text(time_text(line.time))}</td><td class="level">{_text(line.level)}</td>'
        f"<td><b>{_text(line.event)}</b> {_fields(fields)}{blocks}</td></tr>"
    )


def _fields(fields: Mapping[str, Any]) -> str:
    return " ".join(f'<span class="key">{_text(key)}=</span>{_text(_value(value))}' for key, value in fields.items())


def _value(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value).decode()


def _block(text: str) -> str:
    shown = "\n".join(printable(part) for part in text.split("\n"))
    return f"<pre>{escape(shown)}</pre>"
