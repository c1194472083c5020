"""A checkpoint that stops at each of the points where DuckDB lets it be stopped, then a SIGKILL."""

from __future__ import annotations

import logging
import os
import signal
from datetime import timedelta
from pathlib import Path

import pytest
from orders_kit import is_clean, load, orders, outcome, undisturbed
from own_process import in_own_process, killed_in_own_process

import batchflow as bf
from batchflow.store.database.connection import Connection

ROWS = 20_000
KEPT = 1_000
# DuckDB has two more, which a checkpoint comes to only if others commit meanwhile; here they wait.
POINTS = [
    "BEFORE_HEADER",
    "BEFORE_HEADER_NON_FATAL",
    "AFTER_FREE_LIST_WRITE",
    "BEFORE_TRUNCATE",
    "BEFORE_WAL_FINISH",
]


def let_checkpoints_stop_at(connection: Connection) -> None:
    """Take the place of locking the settings, which would refuse DuckDB's own fault points."""
    point = os.environ["POINT"]
    connection.root.execute(f"SET GLOBAL debug_checkpoint_abort = '{point}'")


def killed_within_a_checkpoint(folder: Path) -> None:
    Connection.lock_settings = let_checkpoints_stop_at
    engine = bf.Engine(folder / "orders.duckdb", orders(), workers=0)
    load(engine, ROWS)
    engine.run(limit=ROWS)
    fold_and_die(engine)


def fold_and_die(engine: bf.Engine) -> None:
    told: list[logging.LogRecord] = []
    logging.getLogger("batchflow").addFilter(lambda record: told.append(record) or True)
    engine._store._connection.fold_log()
    assert "abort" in told[-1].getMessage() or "crash" in told[-1].getMessage()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("point", POINTS)
def test_a_coordinator_that_is_killed_within_a_checkpoint_loses_nothing(
    point: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINT", point)
    killed_in_own_process(killed_within_a_checkpoint, tmp_path)
    with bf.Engine(tmp_path / "orders.duckdb", orders(), workers=0) as engine:
        assert engine.sql("SELECT count(*) FROM orders.transitions").fetchall() == [(ROWS,)]
        engine.run()
        assert outcome(engine) == undisturbed(ROWS)
    assert is_clean(tmp_path)


def killed_within_the_checkpoint_of_a_prune(folder: Path) -> None:
    Connection.lock_settings = let_checkpoints_stop_at
    engine = bf.Engine(folder / "orders.duckdb", orders(), workers=0)
    folding, Connection.fold_log = Connection.fold_log, lambda connection: None
    assert engine.prune(timedelta(0), f"number >= {KEPT}").runs == ROWS - KEPT
    Connection.fold_log = folding
    fold_and_die(engine)


@pytest.mark.parametrize("point", POINTS)
def test_a_prune_that_is_killed_while_space_is_given_back_is_whole(
    point: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bf.Engine(tmp_path / "orders.duckdb", orders(), workers=0) as engine:
        load(engine, ROWS)
        engine.run()
        runs, log = outcome(engine)
    monkeypatch.setenv("POINT", point)
    killed_in_own_process(killed_within_the_checkpoint_of_a_prune, tmp_path)
    with bf.Engine(tmp_path / "orders.duckdb", orders(), workers=0) as engine:
        assert outcome(engine) == (
            [run for run in runs if run[0] < KEPT],
            [move for move in log if move[0] < KEPT],
        )
    assert is_clean(tmp_path)


def goes_on_after_a_checkpoint_that_failed(folder: Path) -> None:
    locked = Connection.lock_settings
    Connection.lock_settings = let_checkpoints_stop_at
    with bf.Engine(folder / "orders.duckdb", orders(), workers=0) as engine:
        load(engine, ROWS)
        engine.run(limit=ROWS)
        connection = engine._store._connection
        with pytest.raises(bf.StoreError, match="Run again"), connection.reading() as cursor:
            cursor.execute("CHECKPOINT")
        Connection.lock_settings = locked
        engine.run()
        assert outcome(engine) == undisturbed(ROWS)
    assert is_clean(folder)


def test_an_engine_whose_database_was_given_up_opens_it_anew_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINT", "BEFORE_HEADER")
    in_own_process(goes_on_after_a_checkpoint_that_failed, tmp_path)
