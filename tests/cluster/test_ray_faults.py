"""Whatever breaks on a cluster, the runs end as with a local pool, and only the culprit fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from cluster_steps import (
    BAD,
    fail_to_open,
    hang,
    kill_the_node,
    segfault,
    take_a_while,
)
from ray_kit import Ending, RayCluster, await_true, ending_of

import batchflow as bf
from kit.things import load, things

RUNS = 300


def drained(
    executor: bf.ExecutorFactory,
    step: Callable[..., Any],
    during: Callable[[], None] = lambda: None,
    **options: Any,
) -> tuple[Ending, list[tuple[Any, ...]]]:
    """Return how the runs ended, and their errors."""
    workflow = things(step, retry=bf.Retry(pause_after=1), **options)
    with bf.Engine(":memory:", workflow, executor=executor) as engine:
        load(engine, RUNS)
        engine.start()
        during()
        unfinished = "status = 'NEW' AND run_state <> 'PAUSED'"
        await_true(lambda: not len(engine.runs(unfinished)))
        engine.stop()
        errors = engine.errors().select("type, message, count").fetchall()
        return ending_of(engine), errors


@pytest.mark.parametrize(
    ("step", "options"),
    [(segfault, {}), (hang, {"timeout_seconds": 0.3})],
    ids=["segfault", "hang"],
)
def test_a_run_that_breaks_its_worker_fails_alone(
    ray_cluster: RayCluster,
    step: Callable[..., Any],
    options: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    on_ray = drained(bf.RayExecutor(nodes=2), step, **options)

    assert on_ray == drained(bf.ProcessPool(2), step, **options)
    assert len(on_ray[1]) == 1
    if step is segfault:
        assert any(
            "/" in record.message and "About to crash" in record.message
            for record in caplog.records
        )


def test_a_resource_that_does_not_open_ends_the_drain(ray_cluster: RayCluster) -> None:
    workflow = things(take_a_while, resources={"model": fail_to_open})
    with bf.Engine(":memory:", workflow, executor=bf.RayExecutor(nodes=1)) as engine:
        load(engine, RUNS)
        with pytest.raises(bf.ResourceError, match="'model'"):
            engine.run()
        assert len(engine.runs("status = 'NEW'")) == RUNS


def test_nothing_is_lost_with_a_node(
    ray_cluster: RayCluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "batchflow")

    def during() -> None:
        await_true(lambda: count(caplog, "join_node") == 3)
        ray_cluster.add_node()
        ray_cluster.remove_node()
        await_true(lambda: count(caplog, "lose_node") > 0)

    executor = bf.RayExecutor(nodes=3)
    on_ray = drained(executor, take_a_while, during)

    assert on_ray == drained(bf.ProcessPool(2), take_a_while)
    assert on_ray[1] == []


def test_a_run_whose_nodes_keep_disappearing_is_found(ray_cluster: RayCluster) -> None:
    ending, errors = drained(bf.RayExecutor(nodes=3), kill_the_node, chunk_rows=2)

    assert [(kind, count) for kind, _, count in errors] == [("WorkerDied", 1)]
    assert "its node disappeared" in errors[0][1]
    left = [run for run in ending.runs.values() if "DONE" not in run]
    assert [run[0] for run in left] == [str(BAD)]


def count(caplog: pytest.LogCaptureFixture, action: str) -> int:
    return sum(getattr(record, "action", "") == action for record in caplog.records)
