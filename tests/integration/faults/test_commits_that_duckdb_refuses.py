"""Nothing is stored of a commit that DuckDB refuses for another reason than a full disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from orders_kit import Stage, load, orders, outcome, undisturbed

import batchflow as bf
from batchflow.definition import Outcome
from batchflow.store import StepCommit
from kit.open_store import OpenStore, open_store

ROWS = 2_000


@contextmanager
def claimed_elsewhere(store: OpenStore, where: str) -> Iterator[None]:
    """Keep a transaction of another cursor open that has changed these runs."""
    other = store.store.connection.root.cursor()
    other.begin()
    other.execute(f"UPDATE orders.runs SET updated_at = now() WHERE {where}").fetchall()
    try:
        yield
    finally:
        other.rollback()
        other.close()


WORKFLOW = orders()
NOW = datetime.now(UTC)


@pytest.fixture
def store(path: Path) -> Iterator[OpenStore]:
    with open_store(path, WORKFLOW) as opened:
        load(opened, ROWS)
        yield opened


def priced(store: OpenStore, first: int = 0, last: int = ROWS, **wide: pa.Array) -> StepCommit:
    """Return the commit of a step that moved these runs."""
    columns = ["#seq", "#version", "#attempt", "#run_state"]
    claimed = store.store.claim(WORKFLOW, 0, first, last - 1, NOW, ["number"])
    rows = claimed.num_rows
    moved = claimed.select(columns)
    moved = moved.append_column("#to", pa.array([Stage.PRICED.value - 1] * rows, pa.uint8()))
    moved = moved.append_column("#outcome", pa.array([Outcome.ADVANCED] * rows, pa.uint8()))
    for name, values in wide.items():
        moved = moved.append_column(name, values)
    none = pa.table({"#seq": pa.array([], pa.int64())})
    return StepCommit(WORKFLOW, WORKFLOW.steps[0], moved, none, none)


def committed(store: OpenStore, *commits: StepCommit) -> int:
    return sum(each.applied for each in store.store.commit(commits, NOW))


def test_a_conflict_refuses_the_commit_and_nothing_of_it_is_stored(store: OpenStore) -> None:
    before = outcome(store)
    with claimed_elsewhere(store, "seq = 7"), pytest.raises(bf.CommitError) as caught:
        committed(store, priced(store))
    assert "Conflict" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert outcome(store) == before


def test_during_a_conflict_smaller_commits_without_its_run_succeed(store: OpenStore) -> None:
    with claimed_elsewhere(store, "seq = 7"):
        assert committed(store, priced(store, 0, 7)) == 7
        with pytest.raises(bf.CommitError):
            committed(store, priced(store, 7, 8))
        assert committed(store, priced(store, 8)) == ROWS - 8
    assert committed(store, priced(store)) == 1


def test_a_sql_step_that_conflicts_is_refused_and_nothing_of_it_is_stored(
    store: OpenStore,
) -> None:
    store.pause("seq % 2 = 1")
    code = WORKFLOW.code_of(Stage.LABELLED)
    with store.store.connection.write() as cursor:
        cursor.execute("UPDATE orders.runs SET status = 'LABELLED'")
    before = outcome(store)

    def executed() -> int:
        step, random = WORKFLOW.steps[code], np.random.default_rng(0)
        [result] = store.store.commit_sql_steps(WORKFLOW, [step], (0, ROWS), NOW, random)
        return result.runs

    with claimed_elsewhere(store, "seq = 8"), pytest.raises(bf.CommitError, match="Conflict"):
        executed()
    assert outcome(store) == before
    assert executed() == ROWS // 2


def test_a_commit_beyond_duckdbs_memory_is_refused_and_smaller_ones_succeed(path: Path) -> None:
    rows = 20_000
    with open_store(path, WORKFLOW, memory_limit="60MB") as store:
        load(store, rows)
        wide = pa.array([f"{number:>04000d}" for number in range(rows)])
        with pytest.raises(bf.CommitError, match=r"could not allocate .*memory_limit") as caught:
            committed(store, priced(store, 0, rows, label=wide))
        assert "\n" not in str(caught.value)
        assert str(caught.value).count("memory_limit") == 1
        assert store.counts().select("status, runs").fetchall() == [("NEW", rows)]
        for first in range(0, rows, 500):
            part = priced(store, first, first + 500, label=wide.slice(first, 500))
            assert committed_at_last(store, part) == 500
        stored = store.runs("length(label) = 4000 AND status = 'PRICED'")
        assert stored.aggregate("count(*)").fetchall() == [(rows,)]


def committed_at_last(store: OpenStore, commit: StepCommit) -> int:
    """Commit, again if it is refused for lack of memory."""
    try:
        return committed(store, commit)
    except bf.CommitError:
        return committed(store, commit)


def test_a_drain_with_a_conflict_loses_no_run_and_moves_none_twice(store: OpenStore) -> None:
    with claimed_elsewhere(store, "seq IN (7, 1007)"):
        with pytest.raises(bf.CommitError):
            store.drain()
        assert store.runs("seq IN (7, 1007) AND status <> 'NEW'").fetchall() == []
    store.drain()
    assert outcome(store) == undisturbed(ROWS)
