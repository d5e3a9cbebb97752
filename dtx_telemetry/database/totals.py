"""The totals of a scope's queries: kept with the scope, and put on its closing event."""

import threading
from collections import Counter

from ..context import End, Participant, Scope
from ..guard import never_raises
from .statements import readable

__all__ = ["Totals", "TotalsOfScopes", "totals_of"]

#: From so many on it is worth saying that the same statement was asked again and again.
_REPEATS = 10
#: Queries that wait to be counted by their statement.
_WAITING = 128
#: Different statements that are told apart. Of more, those that came least often are forgotten.
_STATEMENTS = 256


class Totals:
    """The queries of a scope, those of the scopes nested in it included.

    Threads may share a scope, so that a query is one `list.append`, which needs no lock. Settling the account has one that a
    thread waits for at the end alone, and not for long: a finalizer may ask the database in the midst of it.
    """

    __slots__ = ("_around", "_count", "_lock", "_seconds", "_statements", "_waiting", "lines")

    def __init__(self, around: "Totals | None") -> None:
        self._around = around
        self._lock = threading.Lock()
        self._count = 0
        self._seconds = 0.0
        #: How often each text was asked of each kind of database.
        self._statements: Counter[tuple[str, str]] = Counter()
        #: Text, seconds and kind of database of queries that were not counted yet.
        self._waiting: list[tuple[str, float, str]] = []
        #: How many of them had a line of their own.
        self.lines = 0

    def add(self, query: tuple[str, float, str]) -> None:
        """Add a query, here and to the totals of the scopes around.

        Args:
            query: its text, how long it took to be executed, in seconds, and Django's name of the kind of database.
        """
        totals: Totals | None = self
        while totals is not None:
            waiting = totals._waiting
            waiting.append(query)
            if len(waiting) >= _WAITING and totals._lock.acquire(blocking=False):
                totals._settle()
            totals = totals._around

    @never_raises
    def _settle(self) -> None:
        try:
            self._account()
        finally:
            self._lock.release()

    def _account(self) -> None:
        waiting = self._waiting
        batch = waiting[:]
        del waiting[: len(batch)]
        self._count += len(batch)
        self._seconds += sum([seconds for _, seconds, _ in batch])
        self._statements.update([(text, vendor) for text, _, vendor in batch])
        if len(self._statements) > _STATEMENTS:
            self._statements = self._alike()
            if len(self._statements) > _STATEMENTS // 2:
                self._statements = Counter(dict(self._statements.most_common(_STATEMENTS // 2)))

    def _alike(self) -> Counter[tuple[str, str]]:
        """Return how often each statement came, whatever its literals and the lengths of its lists."""
        alike: Counter[tuple[str, str]] = Counter()
        for (text, vendor), count in self._statements.items():
            alike[readable(text, vendor), vendor] += count
        return alike

    def fields(self) -> dict[str, object]:
        """Return what stands on the closing event."""
        if self._lock.acquire(timeout=0.1):
            self._settle()
        fields: dict[str, object] = {"db.query_count": self._count, "db.duration_ms": round(self._seconds * 1000, 2)}
        commonest = self._alike().most_common(1) if self._count >= _REPEATS else []
        for (statement, _), count in commonest:
            if count >= _REPEATS:  # the count comes first: the statement fills lines where people read them
                fields |= {"db.repeat_count": count, "db.repeated_query": statement}
        return fields


def totals_of(scope: Scope) -> Totals | None:
    """Return the totals of *scope*, made at its first query. A block of `bind_fields` has those of the scope around it."""
    totals: Totals | None = scope.queries
    if totals is None:
        around = None if scope.outer is None else totals_of(scope.outer)
        totals = scope.queries = around if scope.kind is None else Totals(around)
    return totals


class TotalsOfScopes(Participant):
    """Puts the totals of a scope that asked the database anything on its closing event."""

    def ended(self, scope: Scope, end: End) -> None:
        """Add the fields."""
        if scope.queries is not None:
            end.fields |= scope.queries.fields()
            scope.queries = None
