"""A checkpoint that stops at each of DuckDB's fault points, then a SIGKILL."""

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
from kit.open_store import OpenStore, open_store

ROWS = 4_000
KEPT = 500
# DuckDB has two more, which a checkpoint reaches only if others commit meanwhile; here they wait.
POINTS = [
    "BEFORE_HEADER",
    "BEFORE_HEADER_NON_FATAL",
    "AFTER_FREE_LIST_WRITE",
    "BEFORE_TRUNCATE",
    "BEFORE_WAL_FINISH",
]


def let_checkpoints_stop_at(connection: Connection) -> None:
    """Set a fault point of DuckDB instead of locking the settings, which would prevent that."""
    point = os.environ["POINT"]
    connection.root.execute(f"SET GLOBAL debug_checkpoint_abort = '{point}'")


def killed_within_a_checkpoint(folder: Path) -> None:
    Connection.lock_settings = let_checkpoints_stop_at
    with open_store(folder / "orders.duckdb", orders()) as store:
        load(store, ROWS)
        store.drain(limit=ROWS)
        fold_and_die(store)


def fold_and_die(store: OpenStore) -> None:
    records: list[logging.LogRecord] = []
    logging.getLogger("batchflow").addFilter(lambda record: records.append(record) or True)
    store.store.connection.fold_log()
    assert "abort" in records[-1].getMessage() or "crash" in records[-1].getMessage()
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
    with open_store(folder / "orders.duckdb", orders()) as store:
        folding, Connection.fold_log = Connection.fold_log, lambda connection: None
        assert store.prune(timedelta(0), f"number >= {KEPT}").runs == ROWS - KEPT
        Connection.fold_log = folding
        fold_and_die(store)


@pytest.mark.parametrize("point", POINTS)
def test_a_prune_that_is_killed_while_it_frees_space_is_complete(
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
    with open_store(folder / "orders.duckdb", orders()) as store:
        load(store, ROWS)
        store.drain(limit=ROWS)
        connection = store.store.connection
        with pytest.raises(bf.StoreError, match="Run again"), connection.reading() as cursor:
            cursor.execute("CHECKPOINT")
        Connection.lock_settings = locked
        store.drain()
        assert outcome(store) == undisturbed(ROWS)
    assert is_clean(folder)


def test_an_engine_reopens_a_database_that_duckdb_invalidated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINT", "BEFORE_HEADER")
    in_own_process(goes_on_after_a_checkpoint_that_failed, tmp_path)
