"""An executor on several machines is given the work that is left, and progress shows them."""

from __future__ import annotations

import time
from collections.abc import Set
from dataclasses import dataclass, field

import pytest

import batchflow as bf
from batchflow.executor import Capability, Executor, ExecutorContext, ScalingExecutor
from batchflow.executor.inline_executor import InlineExecutor
from kit.things import finish, load, things


class TwoMachines(InlineExecutor):
    """Executes everything here, and claims to do so on two machines."""

    nodes = 2

    def __init__(self, context: ExecutorContext, work: list[float]) -> None:
        super().__init__(context)
        self._work = work

    def note_work(self, seconds: float) -> None:
        self._work.append(seconds)


@dataclass(frozen=True)
class Machines:
    work: list[float] = field(default_factory=list)
    capabilities: Set[Capability] = frozenset()

    def open(self, context: ExecutorContext) -> Executor:
        return TwoMachines(context, self.work)


def test_the_work_that_is_left_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchflow.coordinator.scaling._LOOK_SECONDS", 0.0)
    machines = Machines()
    with bf.Engine(":memory:", things(finish, chunk_rows=10), executor=machines) as engine:
        load(engine, 1_000)
        engine.run()

    known = [seconds for seconds in machines.work if seconds]
    assert machines.work[0] == machines.work[-1] == 0.0
    assert known[0] > known[-1]


def test_progress_shows_machines_and_workers() -> None:
    with bf.Engine(":memory:", things(finish), executor=Machines()) as engine:
        load(engine, 10)
        engine.start()
        while (progress := engine.progress()) is None or not progress.finished:
            time.sleep(0.01)
        engine.stop()

    assert (progress.nodes, progress.workers) == (2, 1)
    assert "2 nodes with 1 worker" in str(progress)


def test_a_local_pool_does_not_scale() -> None:
    pool = bf.ProcessPool(1).open(ExecutorContext(workflows={"things": things()}))
    try:
        assert not isinstance(pool, ScalingExecutor)
    finally:
        pool.close()
