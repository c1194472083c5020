"""Nothing is stored of a commit that DuckDB refuses for another reason than a full disk."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from orders_kit import Stage, load, orders, outcome, undisturbed

import batchflow as bf
from batchflow.definition import Outcome
from batchflow.store import StepCommit

ROWS = 2_000


@contextmanager
def claimed_elsewhere(engine: bf.Engine, where: str) -> Iterator[None]:
    """Keep a transaction of another cursor open that has changed these runs."""
    other = engine._store.connection.root.cursor()
    other.begin()
    other.execute(f"UPDATE orders.runs SET updated_at = now() WHERE {where}").fetchall()
    try:
        yield
    finally:
        other.rollback()
        other.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[bf.Engine]:
    with bf.Engine(tmp_path / "orders.duckdb", orders(), workers=0) as engine:
        load(engine, ROWS)
        yield engine


def priced(engine: bf.Engine, first: int = 0, last: int = ROWS, **wide: pa.Array) -> StepCommit:
    """Return the commit of a step that moved these runs."""
    [workflow] = engine._workflows.values()
    columns = ["#seq", "#version", "#attempt", "#run_state"]
    claimed = engine._store.claim(workflow, 0, first, last - 1, engine._clock.now(), ["number"])
    rows = claimed.num_rows
    moved = claimed.select(columns)
    moved = moved.append_column("#to", pa.array([Stage.PRICED.value - 1] * rows, pa.uint8()))
    moved = moved.append_column("#outcome", pa.array([Outcome.ADVANCED] * rows, pa.uint8()))
    for name, values in wide.items():
        moved = moved.append_column(name, values)
    none = pa.table({"#seq": pa.array([], pa.int64())})
    return StepCommit(workflow, workflow.steps[0], moved, none, none)


def committed(engine: bf.Engine, *commits: StepCommit) -> int:
    return sum(each.applied for each in engine._store.commit(commits, engine._clock.now()))


def test_a_conflict_refuses_the_commit_and_nothing_of_it_is_stored(engine: bf.Engine) -> None:
    before = outcome(engine)
    with claimed_elsewhere(engine, "seq = 7"), pytest.raises(bf.CommitError) as caught:
        committed(engine, priced(engine))
    assert "Conflict" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert outcome(engine) == before


def test_during_a_conflict_smaller_commits_without_its_run_succeed(engine: bf.Engine) -> None:
    with claimed_elsewhere(engine, "seq = 7"):
        assert committed(engine, priced(engine, 0, 7)) == 7
        with pytest.raises(bf.CommitError):
            committed(engine, priced(engine, 7, 8))
        assert committed(engine, priced(engine, 8)) == ROWS - 8
    assert committed(engine, priced(engine)) == 1


def test_a_sql_step_that_conflicts_is_refused_and_nothing_of_it_is_stored(
    engine: bf.Engine,
) -> None:
    engine.pause("seq % 2 = 1")
    [workflow] = engine._workflows.values()
    code = workflow.code_of(Stage.LABELLED)
    with engine._store.connection.write() as cursor:
        cursor.execute("UPDATE orders.runs SET status = 'LABELLED'")
    before = outcome(engine)

    def executed() -> int:
        now, random = engine._clock.now(), np.random.default_rng(0)
        step = workflow.steps[code]
        return engine._store.commit_sql_step(workflow, step, 0, ROWS, now, random).runs

    with claimed_elsewhere(engine, "seq = 8"), pytest.raises(bf.CommitError, match="Conflict"):
        executed()
    assert outcome(engine) == before
    assert executed() == ROWS // 2


def test_a_commit_beyond_duckdbs_memory_is_refused_and_smaller_ones_succeed(tmp_path: Path) -> None:
    config, rows = bf.EngineConfig(memory_limit="60MB"), 20_000
    with bf.Engine(tmp_path / "orders.duckdb", orders(), workers=0, config=config) as engine:
        load(engine, rows)
        wide = pa.array([f"{number:>04000d}" for number in range(rows)])
        with pytest.raises(bf.CommitError, match="Out of Memory") as caught:
            committed(engine, priced(engine, 0, rows, label=wide))
        assert "\n" not in str(caught.value)
        assert engine.counts().select("status, runs").fetchall() == [("NEW", rows)]
        for first in range(0, rows, 500):
            part = priced(engine, first, first + 500, label=wide.slice(first, 500))
            assert committed_at_last(engine, part) == 500
        stored = engine.runs("length(label) = 4000 AND status = 'PRICED'")
        assert stored.aggregate("count(*)").fetchall() == [(rows,)]


def committed_at_last(engine: bf.Engine, commit: StepCommit) -> int:
    """Commit, again if it is refused for lack of memory."""
    try:
        return committed(engine, commit)
    except bf.CommitError:
        return committed(engine, commit)


def test_a_drain_with_a_conflict_loses_no_run_and_moves_none_twice(engine: bf.Engine) -> None:
    with claimed_elsewhere(engine, "seq IN (7, 1007)"):
        # The conflict lasts, however often the commit is tried.
        ended = threading.Timer(0.3, engine._drains._coordinator.stop.request, (0.0,))
        ended.start()
        with contextlib.suppress(bf.CommitError):
            engine.run()
        ended.join()
        assert engine.runs("seq IN (7, 1007) AND status <> 'NEW'").fetchall() == []
    engine.run()
    assert outcome(engine) == undisturbed(ROWS)
