"""Lines as text: by the renderer of a format, under the names that ``LOG_FIELD_NAMES`` asks for."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from ..config import Settings, get_settings
from ..errors import is_interruption
from ..rendering import JsonRenderer, LogfmtRenderer, PrettyRenderer, Renderer, Sanitizer, Secrets, local_time
from .line import Line, LineBuilder, bare_line, utc_clock
from .records import OWN_NAMES

__all__ = ["LineFormatter", "clock_of", "make_renderer", "make_sanitizer"]

_FORMATS = ("json", "logfmt", "pretty")


def make_sanitizer(settings: Settings) -> Sanitizer:
    """Return what makes values safe, as *settings* say."""
    return Sanitizer(Secrets(settings.redact_keys), settings.log_max_value_length)


def make_renderer(
    settings: Settings,
    sanitizer: Sanitizer,
    *,
    form: str | None,
    coloured: Callable[[], bool] = lambda: False,
    columns: Callable[[], int | None] = lambda: None,
) -> Renderer:
    """Return what makes text of lines.

    Args:
        settings: for the names of fields.
        sanitizer: makes values safe.
        form: ``json``, ``logfmt`` or ``pretty``.
        coloured: whether to colour ``pretty``.
        columns: how wide the terminal is, ``None`` if the output is no terminal.
    """
    renderer: Renderer
    names = settings.log_field_names
    if form == "pretty":
        # Its head has its place and no names.
        names = {name: new for name, new in names.items() if name not in OWN_NAMES}
        renderer = PrettyRenderer(sanitizer, coloured, columns)
    else:
        renderer = LogfmtRenderer(sanitizer) if form == "logfmt" else JsonRenderer(sanitizer)
    return _RenamingRenderer(renderer, sanitizer, names) if names else renderer


def clock_of(form: str | None) -> Callable[[float], str]:
    """Return what writes the timestamps of lines in that format."""
    return local_time if form == "pretty" else utc_clock()


class _RenamingRenderer:
    """Renders lines under other names.

    Args:
        renderer: renders.
        sanitizer: makes values safe, by the names that they have with us.
        names: the new name of each field that gets one. An empty one leaves the field out.
    """

    __slots__ = ("_names", "_renderer", "_sanitizer")

    def __init__(self, renderer: Renderer, sanitizer: Sanitizer, names: Mapping[str, str]) -> None:
        self._renderer = renderer
        self._sanitizer = sanitizer
        self._names = names

    def render(self, line: Line) -> bytes:
        return self.encode(self._sanitizer.line(line))

    def encode(self, line: Line) -> bytes:
        return self._renderer.encode(self._rename(line))

    def _rename(self, line: Line) -> Line:
        """Return *line* under the new names. An application's field that is named like one of them gets ``_`` appended."""
        names = self._names
        taken = {names[key] for key in line if key in names}
        renamed: dict[str, Any] = {}
        for key, value in line.items():
            name = names.get(key, key)
            while key not in names and (name in taken or name in renamed):
                name += "_"
            if name:
                renamed[name] = value
        return renamed


class LineFormatter(logging.Formatter):
    """Formats records as our lines, for the application's other handlers: a file, or a socket.

    In ``LOGGING``: ``{"()": "dtx_telemetry.LineFormatter", "format": "json"}``. The lines are those of the console, with
    what is bound as the record is formatted: give it to a handler that formats in the thread that logs, not to one behind a
    queue. An exception's traceback stands once in what one formatter makes.

    Args:
        format: ``json``, ``logfmt``, or ``pretty``, which is never coloured here.
        _: what ``LOGGING`` hands on besides if it names the formatter by ``class``: the ``datefmt`` and the ``style``.

    .. versionadded:: 0.1.0
    """

    def __init__(self, format: str | None = "json", *_: object) -> None:
        super().__init__()
        self._form = "json" if format is None else format
        if self._form not in _FORMATS:
            raise ValueError(f"the format of a LineFormatter is {format!r}; accepted: {', '.join(_FORMATS)}")
        self._settings: Settings | None = None

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of *record*, without the newline at its end."""
        settings = get_settings()
        if settings is not self._settings:
            sanitizer = make_sanitizer(settings)
            self._renderer = make_renderer(settings, sanitizer, form=self._form)
            self._line_of = LineBuilder(sanitizer, clock_of(self._form), taker=f"formatter {id(self)}").of_record
            self._settings = settings
        line = self._line_of(record)
        try:
            data = self._renderer.render(line)
        except Exception as error:
            if is_interruption(error):
                raise
            data = self._renderer.render(bare_line(line, error))
        return data.decode().removesuffix("\n")
