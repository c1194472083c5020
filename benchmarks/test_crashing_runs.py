from __future__ import annotations

import pytest

from bench import Bench, seconds_of
from sample import Sample
from speed_table import Comparison, Row, Target

# How many times as long a drain may take, by the number of runs that crash their worker.
MOST_TIMES_AS_LONG = {1: 1.2, 100: 2.0}


@pytest.mark.parametrize("steps", ["row", "batch"])
def test_runs_that_crash_their_worker(bench: Bench, steps: str) -> None:
    one, hundred, none = bench.alternate(
        lambda: _drained(bench, steps, 1),
        lambda: _drained(bench, steps, 100),
        lambda: _drained(bench, steps, 0),
    )

    for crashing, measured in ((1, one), (100, hundred)):
        assert {sample.facts["failed"] for sample in measured} == {crashing}
        name = f"{bench.sizes.runs:,} runs, three {steps} steps, {crashing} crash their worker"
        target = Target(Comparison.TIMES_AS_LONG, MOST_TIMES_AS_LONG[crashing])
        bench.record(Row(name, target, seconds_of(measured), seconds_of(none)))


def _drained(bench: Bench, steps: str, crashing: int) -> Sample:
    return bench.on_new(
        "engine_side",
        "load_and_run_with_crashes",
        source=str(bench.stores.source(bench.sizes.runs)),
        steps=steps,
        workers=bench.sizes.workers,
        runs=bench.sizes.runs,
        crashing=crashing,
    )
