"""Totals of very many queries: exact, and of bounded size."""

import threading
import tracemalloc

from dtx_telemetry.database.totals import Totals

QUERIES = 100_000
#: Bytes. Kept one by one, that many texts take ten megabytes.
BOUND = 500_000


def test_a_scope_of_a_hundred_thousand_queries_takes_bounded_memory() -> None:
    """Even if every text is another, and the one asked most comes among them."""
    totals = Totals(None)
    totals.add(("SELECT 0", 0.001, "sqlite"))
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(QUERIES // 2):
            totals.add((f"SELECT column{number} FROM picks", 0.001, "sqlite"))
            totals.add((f"SELECT hero FROM picks WHERE id = {number}", 0.001, "sqlite"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < BOUND
    assert totals.fields() == {
        "db.query_count": QUERIES + 1,
        "db.duration_ms": QUERIES + 1,
        "db.repeated_query": "SELECT hero FROM picks WHERE id = ?",
        "db.repeat_count": QUERIES // 2,
    }


def test_threads_that_share_a_scope_lose_no_query() -> None:
    """Each adds without waiting for another; what is nested adds to what is around it as well."""
    around = Totals(None)
    inside = Totals(around)

    def add_many() -> None:
        for _ in range(5000):
            inside.add(("SELECT 1", 0.001, "sqlite"))

    threads = [threading.Thread(target=add_many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inside.fields() == around.fields()
    assert inside.fields()["db.query_count"] == inside.fields()["db.repeat_count"] == 40_000
