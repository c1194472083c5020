"""A drain whose runs have no worker waits for one, or says why it ends."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import batchflow as bf
from batchflow.executor.inline_executor import InlineExecutor
from batchflow.executor.memory_share import machine_bytes
from kit.things import Stage, Thing, load, things


class LateExecutor(InlineExecutor):
    """Executes inline, but only after `arrive`."""

    def __init__(self, context: bf.ExecutorContext) -> None:
        super().__init__(context)
        self.arrived = False
        self.expected = False
        self.workers = 0
        self.chunk_rows: list[int] = []
        self.awaited = threading.Event()

    @property
    def expects_workers(self) -> bool:  # type: ignore[override]
        return self.expected

    @property
    def slots(self) -> int:
        return super().slots if self.arrived else 0

    @property
    def suspect_slots(self) -> int:  # type: ignore[override]
        return self.slots

    def submit(self, chunk: bf.Chunk, *, suspect: bool = False) -> None:
        self.chunk_rows.append(chunk.rows.num_rows)
        super().submit(chunk, suspect=suspect)

    def completed(self, timeout_seconds: float | None) -> Sequence[bf.ChunkResult | bf.LostChunk]:
        self.awaited.set()
        return super().completed(timeout_seconds)

    def arrive(self, workers: int = 1) -> None:
        self.arrived, self.workers = True, workers
        self.wake()


class BlamesEachRun(LateExecutor):
    """Loses each chunk, with its first run under suspicion, and has no isolated worker."""

    suspect_slots = 0

    def __init__(self, context: bf.ExecutorContext) -> None:
        super().__init__(context)
        self.arrive()

    def completed(self, timeout_seconds: float | None) -> Sequence[bf.ChunkResult | bf.LostChunk]:
        return [
            bf.LostChunk(done.chunk_id, True, range(1), "WorkerDied", "its worker died")
            for done in super().completed(timeout_seconds)
            if isinstance(done, bf.ChunkResult)
        ]


@dataclass
class Factory:
    """Keeps the executor that an engine opens."""

    kind: Callable[[bf.ExecutorContext], LateExecutor] = LateExecutor
    opened: LateExecutor | None = None
    capabilities = bf.Inline.capabilities

    def open(self, context: bf.ExecutorContext) -> LateExecutor:
        self.opened = self.kind(context)
        return self.opened

    @property
    def executor(self) -> LateExecutor:
        assert self.opened is not None
        return self.opened


@pytest.fixture
def factory() -> Factory:
    return Factory()


def opened(factory: Factory, workflow: bf.Workflow[Any, Any] | None = None) -> bf.Engine:
    return bf.Engine(":memory:", workflow or things(), executor=factory)


def when_awaited(factory: Factory, act: Callable[[], object]) -> threading.Thread:
    """Do something in another thread once the drain waits for a worker."""

    def do() -> None:
        assert factory.executor.awaited.wait(60)
        act()

    thread = threading.Thread(target=do)
    thread.start()
    return thread


@pytest.mark.parametrize(("runs", "waiting"), [(1, "1 run waits"), (3, "3 runs wait")])
def test_without_any_worker_to_come_the_error_counts_the_runs(
    factory: Factory, runs: int, waiting: str
) -> None:
    with opened(factory) as engine:
        load(engine, runs)
        with pytest.raises(bf.EngineStateError, match=f"^No worker is left.* {waiting} for a step"):
            engine.run()

        factory.executor.arrive()
        assert engine.run().outcome("advanced") == runs


def test_nothing_to_execute_needs_no_worker(factory: Factory) -> None:
    with opened(factory) as engine:
        assert engine.run().runs == 0


def test_a_drain_waits_for_a_worker_that_is_expected(factory: Factory) -> None:
    with opened(factory) as engine:
        factory.executor.expected = True
        load(engine, 5)
        arriving = when_awaited(factory, factory.executor.arrive)

        assert engine.run().outcome("advanced") == 5
        arriving.join()


def test_a_drain_that_waits_for_a_worker_can_be_stopped(factory: Factory) -> None:
    with opened(factory) as engine:
        factory.executor.expected = True
        load(engine, 5)
        stopping = when_awaited(factory, engine.request_stop)

        report = engine.run()
        stopping.join()

    assert (report.runs, report.count("NEW")) == (0, 5)


def test_a_drain_that_waits_for_a_worker_ends_at_its_time(factory: Factory) -> None:
    with opened(factory) as engine:
        factory.executor.expected = True
        load(engine, 5)

        report = engine.run(until=datetime.now(UTC) + timedelta(seconds=0.2))

    assert (report.runs, report.count("NEW")) == (0, 5)


def test_an_engine_in_the_background_waits_for_a_worker(factory: Factory) -> None:
    with opened(factory) as engine:
        factory.executor.expected = True
        engine.start()
        run_id = engine.trigger("a", Thing())
        factory.executor.arrive()

        assert engine.wait(run_id, Stage.DONE, timeout_seconds=30).status is Stage.DONE


class Price(enum.Enum):
    NEW = "new"
    PRICED = "priced"
    SENT = "sent"


def prices(*, send: bool) -> bf.Workflow[Thing, Price]:
    workflow = bf.Workflow("prices", Thing, Price)
    workflow.sql_step(Price.NEW, to=Price.PRICED, set={"number": "number + 1"})
    if send:
        workflow.add_step(Price.PRICED, lambda run: Price.SENT, Price.SENT)
    return workflow


def test_steps_in_the_store_need_no_worker(factory: Factory) -> None:
    with opened(factory, prices(send=False)) as engine:
        load(engine, 5)

        assert engine.run().count("PRICED") == 5


def test_steps_in_the_store_are_executed_while_others_wait_for_workers(factory: Factory) -> None:
    with opened(factory, prices(send=True)) as engine:
        load(engine, 40_000)
        with pytest.raises(bf.EngineStateError, match="so 40,000 runs wait"):
            engine.run()

        assert len(engine.runs("status = 'PRICED'")) == 40_000
        factory.executor.arrive()
        assert engine.run().count("SENT") == 40_000


def test_suspect_runs_without_an_isolated_worker_wait_like_others(factory: Factory) -> None:
    factory.kind = BlamesEachRun
    with opened(factory) as engine:
        load(engine, 3)
        with pytest.raises(bf.EngineStateError, match="so 3 runs wait"):
            engine.run()


def test_chunks_follow_a_number_of_workers_that_changes_during_a_drain(factory: Factory) -> None:
    workflow = bf.Workflow("prices", Thing, Price)

    def price(run: bf.Run[Thing, Price]) -> Price:
        factory.executor.workers = 4
        return Price.PRICED

    workflow.add_step(Price.NEW, price, Price.PRICED)
    workflow.add_step(Price.PRICED, lambda run: Price.SENT, Price.SENT, commit="before")
    with opened(factory, workflow) as engine:
        factory.executor.arrive(workers=1)
        load(engine, 400)
        engine.run()

    assert factory.executor.chunk_rows == [400, 100, 100, 100, 100]


def test_the_bytes_in_flight_follow_the_number_of_workers() -> None:
    config = bf.EngineConfig()

    assert config.bytes_for(8) == 4 * config.bytes_for(2) == 4 * config.bytes_for(0)


def test_the_bytes_in_flight_of_many_workers_fit_in_memory() -> None:
    assert bf.EngineConfig().bytes_for(10_000) <= machine_bytes() / 4
