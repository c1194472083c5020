"""On Ray, the flights end as with a local pool, and their log is the same."""

from __future__ import annotations

import pytest
from ray_kit import Ending, ending_of

import batchflow as bf
from kit.flights import FLIGHTS, SOURCE, flights


def drained(executor: bf.ExecutorFactory) -> Ending:
    with bf.Engine(":memory:", flights, executor=executor) as engine:
        engine.trigger_many(SOURCE, foreign_id="flight")
        report = engine.run()
        assert report.outcome("failed") == 0
        return ending_of(engine)


@pytest.mark.skipif(not FLIGHTS.exists(), reason=f"the flights aren't at {FLIGHTS}")
@pytest.mark.usefixtures("ray_cluster")
def test_flights_end_as_with_a_local_pool() -> None:
    on_ray = drained(bf.RayExecutor(nodes=2))

    assert on_ray == drained(bf.ProcessPool(2))
    assert len(on_ray.runs) == 55_105
