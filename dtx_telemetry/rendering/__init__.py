"""Values as text, safe, redacted and cut. Lines as JSON, as logfmt, or for people."""

from typing import Any, Protocol

from .formats import JsonRenderer, LogfmtRenderer
from .pretty import PrettyRenderer, local_time
from .sanitizer import Masked, Sanitizer
from .secrets import Secrets

__all__ = ["JsonRenderer", "LogfmtRenderer", "Masked", "PrettyRenderer", "Renderer", "Sanitizer", "Secrets", "local_time"]


class Renderer(Protocol):
    """Makes bytes of lines."""

    def render(self, line: dict[str, Any]) -> bytes:
        """Render *line*, whatever its values are."""

    def encode(self, line: dict[str, Any]) -> bytes:
        """Render a *line* that is plain already."""
