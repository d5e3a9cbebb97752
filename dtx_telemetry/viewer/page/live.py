"""What the page knows: the store, how it is filled, and what is left out of it."""

import asyncio
import secrets
import time
from collections.abc import Sequence

from ..model.scope import FAILURES
from ..model.store import Store
from ..model.strip import Strip
from ..reading.filters import Filters
from ..reading.line import Line, Once
from ..reading.unwrap import Unwrapper
from ..show.text import short
from .sources import Counted, Source

__all__ = ["Live", "Turns"]

#: Seconds between two looks at what came in.
_LOOK, _LOOK_AGAIN = 0.1, 0.01
#: Seconds of work after which others have their turn.
_TURN = 0.01


class Turns:
    """Lets others have their turn in work that takes long."""

    def __init__(self) -> None:
        self._begin = time.monotonic()

    async def next(self) -> None:
        """Call it between two parts of the work."""
        if time.monotonic() - self._begin > _TURN:
            await asyncio.sleep(0)
            self._begin = time.monotonic()


class Live:
    """Lives as they grow.

    Args:
        filters: which lines count.
        counted: what lines are read by.
        about: what is read, for people.
        store: what they are kept in.

    Attributes:
        run: tells this process from one before it at the same address.
        strip: how many lives began when, and how many of them have errors.
        left_out: how many lines the filters left out.
        progress: how much of the files that were there is read, a part of 1. ``None`` once that is all.
    """

    def __init__(
        self, filters: Filters | None = None, counted: Sequence[Counted] = (), about: str = "", store: Store | None = None
    ) -> None:
        self.run = secrets.token_hex(4)
        self.about = short(about)
        self.store = Store() if store is None else store
        self.strip = Strip()
        self.left_out = 0
        self.progress: float | None = None
        self._filters = filters or Filters()
        self._counted = list(counted)
        self._once = Once()

    def count(self, counted: Counted) -> None:
        """Count what is read by *counted*, too."""
        self._counted.append(counted)

    async def read(self, sources: Sequence[Source]) -> None:
        """Read until the task is cancelled."""
        while True:
            found = False
            for source in sources:
                for lines in source.batches():
                    found = True
                    self.take(lines)
                    self.progress = source.progress
                    await asyncio.sleep(0)  # whoever waits for an answer comes first
                self.progress = None
            await asyncio.sleep(_LOOK_AGAIN if found else _LOOK)

    def take(self, lines: Sequence[Line]) -> None:
        """Put *lines* where they belong, each once: files may be copied before they are cut off."""
        for line in self._once(lines):
            if self._filters.match(line):
                self._keep(line)
            else:
                self.left_out += 1

    @property
    def lines(self) -> int:
        """How many lines were read."""
        return sum(unwrapper.lines for unwrapper in self._unwrappers())

    @property
    def foreign(self) -> int:
        """How many of them were something else."""
        return sum(unwrapper.foreign for unwrapper in self._unwrappers())

    @property
    def problem(self) -> str:
        """What could not be read, or why nothing is shown although something was read. Empty if all is well."""
        unread = [counted.problem for counted in self._counted if counted.problem is not None]
        if unread:
            return f"{'; '.join(unread)}."
        if len(self.store) or self.store.unbound is not None:
            return ""
        if self.left_out:
            return f"{self.left_out:,} lines were read, and left out by {self._filters.text}."
        if self.foreign:
            worst = max(self._unwrappers(), key=lambda unwrapper: unwrapper.foreign)
            return f"{self.foreign:,} lines were read, and nothing could be made of them: {worst.reason}."
        return ""

    def _keep(self, line: Line) -> None:
        entry = self.store.take(line)
        if not entry.request_id:
            return
        summary = entry.summary
        if summary.lines == 1:
            self.strip.take(line.fields["timestamp"], failed=False)
        if line.level in FAILURES and summary.errors == 1:
            self.strip.fail(summary.first)

    def _unwrappers(self) -> list[Unwrapper]:
        return [unwrapper for counted in self._counted for unwrapper in counted.unwrappers]
