"""If a chunk can't be written, in the coordinator or in a worker, no run fails because of it."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from orders_kit import Order, Stage
from own_process import in_own_process

import batchflow as bf
from kit.kept_executor import KeptExecutor

ROWS = 2_000


@contextmanager
def small_files(most_bytes: int) -> Iterator[None]:
    """Limit the size of files that this process, and those that it starts, can write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def labelling(step_limits_files: bool = False) -> bf.Workflow[Order, Stage]:
    workflow = bf.Workflow("orders", Order, Stage)

    @workflow.batch_step(Stage.NEW, to=Stage.SENT)
    def label(batch: bf.Batch[Order, Stage]) -> Stage:
        if step_limits_files:
            resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, resource.RLIM_INFINITY))
        batch["label"] = [f"{number:>0200d}" for number in batch["number"]]
        return Stage.SENT

    return workflow


def load(engine: bf.Engine) -> None:
    labels = "SELECT range AS number, repeat('x', 200) AS label FROM range(2000)"
    engine.trigger_many(labels, foreign_id="number", at=Stage.NEW)


def assert_all_sent_once(engine: bf.Engine) -> None:
    assert engine.counts().select("status, runs").fetchall() == [("SENT", ROWS)]
    assert engine.errors().fetchall() == []
    once = engine.sql("SELECT count(*), count(DISTINCT seq) FROM orders.transitions")
    assert once.fetchall() == [(ROWS, ROWS)]


def coordinator_has_no_room(_folder: Path) -> None:
    # The store is in memory, so that none of its files exceeds the limit.
    with bf.Engine(":memory:", labelling(), workers=1) as engine:
        load(engine)
        with small_files(50_000), pytest.raises(bf.DiskFullError, match="room left for a chunk"):
            engine.run()
        assert engine.counts().select("status, runs").fetchall() == [("NEW", ROWS)]
        engine.run()
        assert_all_sent_once(engine)


def worker_has_no_room(folder: Path) -> None:
    executor = KeptExecutor(bf.ProcessPool(2))
    with bf.Engine(folder / "orders.duckdb", labelling(), executor=executor) as engine:
        with small_files(50_000):
            # Workers inherit the limit of the process that starts them.
            executor.opened.start()
            assert all(executor.pids)
        load(engine)
        with pytest.raises(bf.DiskFullError, match="worker has no room"):
            engine.run()
        assert engine.errors().fetchall() == []
        engine.run()
        assert_all_sent_once(engine)


def store_meets_a_limit_on_file_sizes(folder: Path) -> None:
    with bf.Engine(folder / "orders.duckdb", labelling(), workers=0) as engine:
        load(engine)
        size = (folder / "orders.duckdb.wal").stat().st_size
        with small_files(size), pytest.raises(bf.DiskFullError, match="File too large"):
            engine.pause("true")
        engine.run()
        assert_all_sent_once(engine)


@pytest.mark.parametrize(
    "scenario", [coordinator_has_no_room, worker_has_no_room, store_meets_a_limit_on_file_sizes]
)
def test_a_limit_on_file_sizes_stops_the_drain_until_it_is_raised(scenario, tmp_path: Path) -> None:
    in_own_process(scenario, tmp_path)


def test_a_step_that_limits_the_size_of_files_does_not_keep_its_results_from_being_sent() -> None:
    with bf.Engine(":memory:", labelling(step_limits_files=True), workers=1) as engine:
        load(engine)
        engine.run()
        assert_all_sent_once(engine)
