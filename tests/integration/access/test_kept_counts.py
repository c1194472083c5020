"""Counts that are kept until the next commit are always those of the table."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from remote_kit import Thing, load, picky_things

import batchflow as bf
from batchflow.access.served_queries import ServedQueries
from batchflow.access.wire import packed_query
from batchflow.store import Store
from batchflow.store.query.run_counts import (
    counts_query,
    only_counts_runs,
    status_counts_query,
)
from batchflow.store.schema.tables import StoredTables

# Other texts than those that are kept, so the engine executes them.
COUNTED = "SELECT status, run_state, count(*) FROM things.runs GROUP BY ALL ORDER BY ALL"

Change = Callable[[bf.Engine, bf.StoreClient, int], object]
CHANGES: dict[str, Change] = {
    "a load": lambda engine, client, number: load(engine, 40, first=1000 * number),
    "a load by another process": lambda engine, client, number: load(
        client, 40, first=1000 * number
    ),
    "a load that updates": lambda engine, client, number: client.trigger_many(
        "SELECT range AS number, 5 AS doubled FROM range(7, 2000)",
        foreign_id="number",
        on_conflict="update",
    ),
    "a trigger": lambda engine, client, number: client.trigger(f"one {number}", Thing(-number)),
    "steps": lambda engine, client, number: engine.run(limit=30, progress=False),
    "all steps": lambda engine, client, number: engine.run(progress=False),
    "a pause": lambda engine, client, number: client.pause("number % 3 = 0", reason="wait"),
    "a resumption": lambda engine, client, number: client.resume("number % 2 = 0"),
    "a cancellation": lambda engine, client, number: client.cancel("number % 7 = 1", reason="no"),
    "a retry": lambda engine, client, number: client.retry("number % 4 = 1", at="NEW"),
    "an edit": lambda engine, client, number: client.edit(
        "number % 5 = 0", set={"doubled": "doubled + 1"}, reason="more"
    ),
    "a prune": lambda engine, client, number: client.prune(timedelta(0), "number % 2 = 0"),
}


def test_counts_are_those_of_the_table_after_every_change(path: Path) -> None:
    # Each change twice.
    order = np.random.default_rng(1).permutation(2 * [*CHANGES])
    with bf.Engine(path, picky_things(), workers=0) as engine, bf.connect(path) as client:
        for number, name in enumerate(order):
            CHANGES[name](engine, client, number)
            expected = engine.sql(COUNTED).fetchall()
            for _ in range(2):
                assert client.counts().fetchall() == expected, name
                assert engine.counts().fetchall() == expected, name


def test_counts_during_a_drain_never_lag_behind_an_earlier_query(path: Path) -> None:
    runs = 8_000
    finished = "SELECT count(*) FROM things.runs WHERE run_state IN ('COMPLETED', 'PAUSED')"
    with bf.Engine(path, picky_things(), workers=1) as engine, bf.connect(path) as client:
        load(engine, runs)
        draining = threading.Thread(target=engine.run, kwargs={"progress": False})
        draining.start()
        ended = 0
        while ended < runs:
            [(at_least,)] = client.sql(finished).fetchall()
            counts = client.counts().fetchall()
            [(at_most,)] = client.sql(finished).fetchall()
            ended = sum(n for _, state, n in counts if state in ("COMPLETED", "PAUSED"))
            assert at_least <= ended <= at_most
            assert sum(n for *_, n in counts) == runs
        draining.join()


def test_runs_are_counted_once_for_each_commit(path: Path) -> None:
    with bf.Engine(path, picky_things(), workers=0) as engine:
        load(engine, 3)
    store = Store.open(path, [picky_things()], clock=lambda: datetime.now(UTC))
    served = ServedQueries(store, timeout_seconds=10)
    sent = packed_query(counts_query(tables_of("things")), None, b"name")

    def counted() -> list[object]:
        return list(served.batches(sent, lambda: False)[1])

    [first], [again] = counted(), counted()
    with store.connection.write() as cursor:
        cursor.execute("UPDATE things.runs SET attempt = 2").fetchall()
    [later] = counted()
    served.close()
    store.close()

    assert first is again
    assert first is not later


def tables_of(workflow: str) -> StoredTables:
    return StoredTables(workflow, 0, (), ())


@pytest.mark.parametrize(
    "name", ["things", 'with "quotes"', '"', ".runs", "{runs}", "GROUP BY ALL"]
)
def test_only_the_queries_that_count_runs_are_kept(name: str) -> None:
    query = counts_query(tables_of(name))

    assert only_counts_runs(query)
    assert only_counts_runs(status_counts_query(tables_of(name)))
    for other in (f"{query} LIMIT 1", query.lower(), f"({query})"):
        assert not only_counts_runs(other)


@pytest.mark.parametrize("schema", ["things", "(SELECT now())", '"a" JOIN "b"', '"a', '"', ""])
def test_a_query_of_anything_but_one_table_is_not_kept(schema: str) -> None:
    before, after = counts_query(tables_of("things")).split('"things"')

    assert not only_counts_runs(f"{before}{schema}{after}")
