"""The number of runs in a chunk and in a call if workers die."""

from __future__ import annotations

from typing import Any

import pytest

from batchflow.coordinator.chunk_sizer import ChunkSizer
from batchflow.definition import Step
from kit.things import Stage, finish_async, things


def step_of(**options: Any) -> Step:
    workflow = things(lambda given: Stage.DONE, **options)
    return workflow.steps[0]


def test_chunks_are_shorter_after_one_ended_its_worker() -> None:
    sizer, step = ChunkSizer(), step_of(batch=True)
    before = sizer.rows("things", step)
    sizer.lost("things", step)

    assert sizer.rows("things", step) < before


@pytest.mark.parametrize(("batch", "bounded"), [(True, True), (False, False)])
def test_a_batch_step_has_shorter_calls_only_while_its_workers_die_often(
    batch: bool, bounded: bool
) -> None:
    sizer, step = ChunkSizer(), step_of(batch=batch)
    sizer.lost("things", step)
    assert sizer.call_rows("things", step) is None
    sizer.lost("things", step)
    assert (sizer.call_rows("things", step) is not None) == bounded
    for _ in range(50):
        sizer.observe("things", step, 1_000, 0.01)
    assert sizer.call_rows("things", step) is None


def test_chunks_of_a_thousand_workers_are_twenty_times_as_long() -> None:
    def chunk_seconds(workers: int) -> float:
        sizer, step = ChunkSizer(), step_of()
        sizer.adapt_to(workers)
        for _ in range(12):
            rows = sizer.rows("things", step)
            sizer.observe("things", step, rows, rows * 1e-3)
            assert not sizer.is_long("things", step)
        return sizer.rows("things", step) * 1e-3

    assert chunk_seconds(1) == chunk_seconds(50) == pytest.approx(0.25, rel=0.1)
    assert chunk_seconds(1_000) == pytest.approx(5.0, rel=0.1)


def test_calls_that_take_long_whatever_they_hold_stay_whole() -> None:
    sizer, step = ChunkSizer(), step_of(batch=True)
    for rows in (1_000, 20_000, 5_000):
        sizer.observe("things", step, rows, 1.0 + rows / 1e6)
    for _ in range(2):
        sizer.lost("things", step)

    assert sizer.call_rows("things", step) is None


def test_single_triggers_do_not_change_the_size_that_large_chunks_showed() -> None:
    sizer, step = ChunkSizer(), step_of()
    for _ in range(8):
        sizer.observe(
            "things", step, sizer.rows("things", step), 2e-4 + 2e-5 * sizer.rows("things", step)
        )
    before = sizer.rows("things", step)
    for _ in range(1_000):
        sizer.observe("things", step, 1, 2e-4)

    assert sizer.rows("things", step) == pytest.approx(before, rel=0.1)


def test_the_size_recovers_within_three_chunks_after_only_single_triggers() -> None:
    sizer, step = ChunkSizer(), step_of()
    for _ in range(1_000):
        sizer.observe("things", step, 1, 2e-3)
    for _ in range(3):
        rows = sizer.rows("things", step)
        sizer.observe("things", step, rows, 2e-3 + 5e-6 * rows)

    assert sizer.rows("things", step) > 30_000


@pytest.mark.parametrize("latency", [0.001, 0.05, 0.6, 5.0])
@pytest.mark.parametrize("rows", [1, 30, 64, 65, 500])
def test_a_chunk_never_has_fewer_runs_than_are_executed_at_once(latency: float, rows: int) -> None:
    workflow = things(finish_async, concurrency=64)
    sizer, step = ChunkSizer(), workflow.steps[0]
    for _ in range(100):
        sizer.observe("things", step, rows, latency * -(-rows // 64))
        assert sizer.rows("things", step) >= 5 * 64

    assert sizer.slice_seconds("things", step) == pytest.approx(
        max(2.0, 1.5 * latency * sizer.rows("things", step) / 64), rel=0.01
    )


def test_an_unlucky_chunk_of_a_batch_step_does_not_multiply_the_next() -> None:
    sizer, step = ChunkSizer(), step_of(batch=True)
    for rows, seconds in [(250, 0.25), (240, 0.3), (250, 0.24), (245, 0.31)]:
        sizer.observe("things", step, rows, seconds)

        assert sizer.rows("things", step) <= 2 * 250
