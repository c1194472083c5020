"""The throughput of steps that wait, in simulated time."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest
from simulated_workers import SimulatedWorkers

import batchflow as bf
from batchflow.testing import FakeClock
from kit.open_store import open_store
from kit.things import Stage, Thing, load

LANES = 16


async def ask(run: bf.Run[Thing, Stage]) -> Stage:
    return Stage.DONE


def ask_in_thread(run: bf.Run[Thing, Stage]) -> Stage:
    return Stage.DONE


def ask_for_all(batch: bf.Batch[Thing, Stage]) -> Stage:
    return Stage.DONE


def workflow_of(step: Any, **options: Any) -> bf.Workflow[Thing, Stage]:
    workflow = bf.Workflow("things", Thing, Stage)
    workflow.add_step(Stage.NEW, step, Stage.DONE, **options)
    return workflow


def uniform(latency: float) -> Any:
    return lambda seq, attempt: latency * random.Random(100 * seq + attempt).uniform(0.5, 1.5)


def share_of_ideal(workers: SimulatedWorkers) -> float:
    """Return the throughput as a part of workers x lanes / latency."""
    return workers.calls / (workers.count * LANES) / workers.now


@pytest.mark.parametrize(
    ("latency", "step", "options"),
    [
        (0.001, ask, {"concurrency": LANES}),
        (0.05, ask, {"concurrency": LANES}),
        (0.6, ask_in_thread, {"threads": LANES}),
        (5.0, ask, {"concurrency": LANES}),
    ],
)
def test_calls_of_any_latency_fill_all_lanes_of_all_workers(
    latency: float, step: Any, options: dict[str, Any]
) -> None:
    workers = SimulatedWorkers(FakeClock(), 2, uniform(latency))
    with open_store(":memory:", workflow_of(step, **options), clock=workers.clock) as store:
        load(store, 1_500)
        tally = store.drain(executor=workers)

    assert tally.advanced == 1_500
    assert share_of_ideal(workers) > 0.8


@pytest.mark.parametrize("latency", [0.05, 5.0])
def test_single_triggers_in_between_take_no_lanes_from_others(latency: float) -> None:
    workers = SimulatedWorkers(FakeClock(), 2, uniform(latency))
    with open_store(":memory:", workflow_of(ask, concurrency=LANES), clock=workers.clock) as store:
        for each in range(60):
            trigger = partial(store.trigger, f"triggered-{each}", Thing())
            workers.arrivals.append((each * latency * 0.7, trigger))
        load(store, 1_500)
        tally = store.drain(executor=workers)

    assert tally.advanced == 1_560
    assert share_of_ideal(workers) > 0.8


def test_retries_and_a_thinning_queue_do_not_shrink_the_chunks_of_others() -> None:
    workers = SimulatedWorkers(
        FakeClock(), 2, uniform(0.6), lambda seq, attempt: attempt == 1 and seq % 5 == 0
    )
    retry = bf.Retry(backoff_seconds=2, multiplier=1)
    workflow = workflow_of(ask, concurrency=LANES, retry=retry)
    with open_store(":memory:", workflow, clock=workers.clock) as store:
        load(store, 3_000)
        tally = store.drain(executor=workers, wait_for_retries=True)

    assert tally.advanced == 3_000
    assert share_of_ideal(workers) > 0.8


def test_a_batch_step_of_one_request_for_all_runs_keeps_large_chunks() -> None:
    workers = SimulatedWorkers(FakeClock(), 2, lambda seq, attempt: 0.0001, fixed=0.6)
    with open_store(":memory:", workflow_of(ask_for_all, batch=True), clock=workers.clock) as store:
        load(store, 60_000)
        store.drain(executor=workers)

    assert max(rows for rows, _ in workers.executed) > 10_000
