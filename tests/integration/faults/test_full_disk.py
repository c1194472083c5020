"""Everything that writes meets a full disk, and continues once space is free."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from orders_kit import Order, Stage, is_clean, load, orders, outcome, undisturbed
from small_disk import Ballast, on_small_disk

import batchflow as bf
from batchflow.store.database import connection

ROWS = 10_000


def refused_for_room(error: BaseException) -> str:
    """Check the message of the error, and return that of DuckDB."""
    assert type(error) is bf.DiskFullError
    assert "No disk space is left" in str(error)
    assert "\n" not in str(error)
    return str(error)


def drained_past_full_disks(
    disk: Path,
    *,
    checkpoint_threshold: int,
    steps: Iterable[int],
    workers: int = 0,
    visits: bool = True,
) -> list[str]:
    """Drain with more and more space until it succeeds; return DuckDB's refusals until then."""
    connection.CHECKPOINT_THRESHOLD_BYTES = checkpoint_threshold
    ballast, refusals = Ballast(disk), []
    workflow = orders(visits=visits)
    with bf.Engine(disk / "orders.duckdb", workflow, workers=workers) as engine:
        assert load(engine, ROWS) == ROWS
        for left in [*steps, None]:
            if left is not None:
                ballast.fill(left)
            try:
                engine.run()
            except bf.DiskFullError as error:
                refusals.append(refused_for_room(error))
            ballast.drop()
        assert outcome(engine) == undisturbed(ROWS)
    assert is_clean(disk)
    return refusals


def log_is_full(disk: Path) -> None:
    refusals = drained_past_full_disks(
        disk, checkpoint_threshold=256_000_000, steps=[0, 10_000, 50_000, 250_000, 500_000]
    )
    assert len(refusals) >= 3
    assert any(".wal" in refusal for refusal in refusals)


def checkpoint_has_no_room(disk: Path) -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logging.getLogger("batchflow").addHandler(handler)
    # With a small commit for each step, one of them leaves too little room for the checkpoint.
    steps = range(0, 1_800_000, 300_000)
    drained_past_full_disks(disk, checkpoint_threshold=100_000, steps=steps, visits=False)
    # What was not folded into the file stayed in the log, and no commit was refused.
    assert any(record.__dict__["action"] == "fold_log" for record in records)


def disk_is_full_while_workers_are_at_it(disk: Path) -> None:
    refusals = drained_past_full_disks(
        disk, checkpoint_threshold=500_000, steps=range(0, 1_500_000, 500_000), workers=2
    )
    assert len(refusals) >= 2


@pytest.mark.parametrize(
    "scenario", [log_is_full, checkpoint_has_no_room, disk_is_full_while_workers_are_at_it]
)
def test_a_drain_stops_with_one_clear_error_and_continues_after_space_was_freed(
    scenario: Callable[[Path], None], tmp_path: Path
) -> None:
    on_small_disk(scenario, tmp_path)


def closed_and_opened_while_full(disk: Path) -> None:
    connection.CHECKPOINT_THRESHOLD_BYTES = 100_000
    ballast, path = Ballast(disk), disk / "orders.duckdb"
    with bf.Engine(path, orders(), workers=0) as engine:
        load(engine, ROWS)
    for left in range(0, 1_500_000, 300_000):
        try:
            with bf.Engine(path, orders(), workers=0) as engine:
                ballast.fill(left)
                engine.run()
        except bf.DiskFullError as error:
            refused_for_room(error)
            # The log is read when there is no space to fold it into the file.
            with bf.Engine(path, orders(), workers=0) as again:
                ballast.fill()
                with pytest.raises(bf.DiskFullError):
                    again.run()
        ballast.drop()
    with bf.Engine(path, orders(), workers=0) as engine:
        engine.run()
        assert outcome(engine) == undisturbed(ROWS)
    assert is_clean(disk)


def test_an_engine_is_closed_and_opened_on_a_full_disk_and_nothing_is_lost(tmp_path: Path) -> None:
    on_small_disk(closed_and_opened_while_full, tmp_path)


def everything_is_refused_and_works_again(disk: Path) -> None:
    ballast, path = Ballast(disk), disk / "orders.duckdb"
    with bf.Engine(path, orders(), workers=0) as engine:
        load(engine, 100)
        deeds: list[Callable[[], object]] = [
            lambda: engine.trigger("one more", Order(1, label="x" * 10_000)),
            lambda: load(engine, ROWS),
            lambda: engine.pause("true"),
            lambda: engine.resume("true"),
            lambda: engine.cancel("true"),
        ]
        for deed in deeds:
            ballast.fill()
            before = engine.counts().fetchall()
            with pytest.raises(bf.DiskFullError) as caught:
                deed()
            refused_for_room(caught.value)
            assert engine.counts().fetchall() == before
            ballast.drop()
            deed()
            assert engine.counts().fetchall() != before
        assert engine.runs("run_state = 'CANCELLED'").aggregate("count(*)").fetchall() == [
            (ROWS + 1,)
        ]


def test_triggers_loads_pauses_and_cancels_are_refused_completely(tmp_path: Path) -> None:
    on_small_disk(everything_is_refused_and_works_again, tmp_path)


def no_store_is_made_by_half(disk: Path) -> None:
    ballast, path = Ballast(disk), disk / "orders.duckdb"
    for left in range(0, 80_000, 16_384):
        ballast.fill(left)
        with pytest.raises(bf.DiskFullError) as caught:
            bf.Engine(path, orders(), workers=0)
        refused_for_room(caught.value)
        assert [each.name for each in disk.iterdir()] in (["ballast"], [])
        ballast.drop()
    bf.Engine(path, orders(), workers=0).close()


def test_no_store_is_created_without_disk_space(tmp_path: Path) -> None:
    on_small_disk(no_store_is_made_by_half, tmp_path)


def spill_has_no_room(disk: Path) -> None:
    ballast, config = Ballast(disk), bf.EngineConfig(memory_limit="40MB")
    with bf.Engine(disk / "orders.duckdb", orders(), workers=0, config=config) as engine:
        rows = 80_000
        table = [Order(number, label=f"{number:>0400d}") for number in range(rows)]
        ballast.fill(3_000_000)
        with pytest.raises(bf.DiskFullError) as caught:
            engine.trigger_many(iter(table), foreign_id="number", at=Stage.NEW)
        refused_for_room(caught.value)
        assert engine.counts().fetchall() == []
        ballast.drop()
        report = engine.trigger_many(iter(table), foreign_id="number", at=Stage.NEW)
        assert report.loaded == rows


def test_a_load_that_spills_to_a_full_disk_stores_nothing_and_is_loaded_again(
    tmp_path: Path,
) -> None:
    on_small_disk(spill_has_no_room, tmp_path, kibibytes=400_000)


def background_stops_and_starts_again(disk: Path) -> None:
    ballast = Ballast(disk)
    with bf.Engine(disk / "orders.duckdb", orders(), workers=0) as engine:
        # So many that a commit doesn't fit in the rest of the log's last page.
        load(engine, 1_000)
        run_id = engine.trigger("one", Order(1))
        ballast.fill()
        engine.start()
        with pytest.raises(bf.DiskFullError):
            engine.wait(run_id, Stage.SENT, timeout_seconds=60)
        with pytest.raises(bf.DiskFullError):
            engine.stop()
        ballast.drop()
        engine.start()
        assert engine.wait(run_id, Stage.SENT, timeout_seconds=60).object.total == 3
        assert engine.history(run_id).aggregate("count(*)").fetchall() == [(3,)]


def test_a_background_coordinator_passes_its_failure_to_waiting_callers_and_starts_again(
    tmp_path: Path,
) -> None:
    on_small_disk(background_stops_and_starts_again, tmp_path)
