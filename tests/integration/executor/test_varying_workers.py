"""A drain goes on while workers appear late, leave and come back."""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pytest
from varying_executor import VaryingExecutor, VaryingThreads, change_workers

import batchflow as bf

RUNS = 3_000


class Stage(enum.Enum):
    NEW = "new"
    SEEN = "seen"
    DONE = "done"


@dataclass
class Visit:
    number: int = 0


class Opened:
    """A factory that keeps the executor that an engine opens."""

    capabilities = VaryingThreads.capabilities

    def __init__(self) -> None:
        self.executor: VaryingExecutor | None = None

    def open(self, context: bf.ExecutorContext) -> VaryingExecutor:
        self.executor = VaryingThreads().open(context)
        return self.executor


def visits() -> bf.Workflow[Visit, Stage]:
    workflow = bf.Workflow("visits", Visit, Stage)

    @workflow.step(Stage.NEW, to=Stage.SEEN, chunk_rows=100)
    def see(run: bf.Run[Visit, Stage]) -> Stage:
        time.sleep(0.0005)
        return Stage.SEEN

    @workflow.step(Stage.SEEN, to=Stage.DONE, chunk_rows=100)
    def finish(run: bf.Run[Visit, Stage]) -> Stage:
        run.object.number += 1
        return Stage.DONE

    return workflow


def drained(changes: Sequence[tuple[float, int]], *, expect_none: bool = False) -> int:
    """Run all visits while workers change; return how many are done, each executed once."""
    factory = Opened()
    with bf.Engine(":memory:", visits(), executor=factory) as engine:
        assert factory.executor is not None
        executor = factory.executor
        engine.trigger_many(
            pa.table({"id": [str(number) for number in range(RUNS)]}), foreign_id="id"
        )

        def change() -> None:
            change_workers(executor, changes)
            if expect_none:
                executor.expect_none()

        changing = threading.Thread(target=change)
        changing.start()
        try:
            engine.run()
        finally:
            changing.join()
        return len(engine.runs("status = 'DONE' AND number = 1"))


def test_workers_that_appear_late_leave_and_come_back_execute_all_runs() -> None:
    changes = [(0.5, 2), (0.3, -2), (0.3, 1), (0.2, -1), (0.2, 3)]

    assert drained(changes) == RUNS


def test_a_drain_ends_with_an_error_once_no_worker_is_expected_any_more() -> None:
    with pytest.raises(bf.EngineStateError, match=r"^No worker is left"):
        drained([(0.3, 1), (0.3, -1)], expect_none=True)
