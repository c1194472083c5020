"""The number of runs in a chunk and in a call if workers die."""

from __future__ import annotations

from typing import Any

import pytest

from batchflow.coordinator.chunk_sizer import ChunkSizer
from batchflow.definition import Step
from kit.things import Stage, things


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
