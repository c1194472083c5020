from __future__ import annotations

import pytest

from bench import Bench, seconds_of
from sample import Sample
from speed_table import Against, Bar, Row

# How much longer a drain may take with so many runs that end their worker.
MOST_TIMES_AS_LONG = {1: 1.2, 100: 2.0}


@pytest.mark.parametrize("steps", ["row", "batch"])
def test_runs_that_end_their_worker(bench: Bench, steps: str) -> None:
    one, hundred, none = bench.in_turn(
        lambda: _drained(bench, steps, 1),
        lambda: _drained(bench, steps, 100),
        lambda: _drained(bench, steps, 0),
    )

    for poisoned, measured in ((1, one), (100, hundred)):
        assert {sample.facts["failed"] for sample in measured} == {poisoned}
        name = f"{bench.sizes.runs:,} runs, three {steps} steps, {poisoned} end their worker"
        bar = Bar(Against.TIMES_AS_LONG, MOST_TIMES_AS_LONG[poisoned])
        bench.record(Row(name, bar, seconds_of(measured), seconds_of(none)))


def _drained(bench: Bench, steps: str, poisoned: int) -> Sample:
    return bench.on_new(
        "engine_side",
        "load_and_run_poisoned",
        source=str(bench.stores.source(bench.sizes.runs)),
        steps=steps,
        workers=bench.sizes.workers,
        runs=bench.sizes.runs,
        poisoned=poisoned,
    )
