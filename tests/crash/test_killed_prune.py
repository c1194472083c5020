"""A prune of many runs is removed in parts; after a kill, the next opening removes the rest."""

from __future__ import annotations

import enum
import signal
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

import batchflow as bf
from batchflow.testing import arm_crash
from kit.forked import call

RUNS = 10
# The chosen runs are the even ones. Each is in a part of its own.
FINISH = f"""
UPDATE things.runs SET seq = seq << 18, status = 'DONE', run_state = 'COMPLETED',
    updated_at = TIMESTAMPTZ '2026-01-01';
INSERT INTO things.transitions_without_reason (seq, from_status, to_status, outcome, version)
    SELECT range << 18, 'NEW', 'DONE', 'advanced', 2 FROM range({RUNS});
"""


class Stage(enum.Enum):
    NEW = 1
    DONE = 2


@dataclass
class Thing:
    number: int


def things() -> bf.Workflow[Thing, Stage]:
    workflow = bf.Workflow("things", Thing, Stage)
    workflow.sql_step(Stage.NEW, to=Stage.DONE)
    return workflow


def prune_and_die(store: Path) -> None:
    with bf.Engine(store, things(), workers=0) as engine:
        arm_crash("within_prune", nth=3)
        engine.prune(timedelta(0), "number % 2 = 0")


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A store whose prune was killed in its third part."""
    store = tmp_path / "store.duckdb"
    with bf.Engine(store, things(), workers=0) as engine:
        engine.trigger_many([Thing(number) for number in range(RUNS)], foreign_id="number")
    with duckdb.connect(store) as connection:
        connection.execute(FINISH)
    died = call(prune_and_die, store)
    assert died.code == -signal.SIGKILL, died.output
    return store


def left(store: Path, table: str) -> list[int]:
    with duckdb.connect(store) as connection:
        rows = connection.sql(f"SELECT seq >> 18 FROM things.{table} ORDER BY seq").fetchall()
    return [seq for (seq,) in rows]


def test_the_rest_of_the_selection_is_removed_when_the_store_is_opened_next(killed: Path) -> None:
    for table in ("runs", "transitions"):
        assert left(killed, table) == [1, 3, 4, 5, 6, 7, 8, 9]
    with bf.Engine(killed, things(), workers=0) as engine:
        assert engine.sql("FROM batchflow.pruning").fetchall() == []
        # Their foreign ids are kept, as for a prune that ended.
        kept = "SELECT count(*) FROM batchflow.pruned_ids"
        assert engine.sql(kept).fetchall() == [(RUNS // 2,)]
    for table in ("runs", "transitions"):
        assert left(killed, table) == [1, 3, 5, 7, 9]


def test_a_chosen_run_that_changed_since_stays(killed: Path) -> None:
    with duckdb.connect(killed) as connection:
        connection.execute(
            "UPDATE things.runs SET run_state = 'RUNNING' WHERE seq >> 18 = 4;"
            "UPDATE things.runs SET updated_at = '2126-01-01' WHERE seq >> 18 = 6;"
        )
    bf.connect(killed).pause("false")
    for table in ("runs", "transitions"):
        assert left(killed, table) == [1, 3, 4, 5, 6, 7, 9]
