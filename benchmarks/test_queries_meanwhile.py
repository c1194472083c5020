from __future__ import annotations

import pytest

from bench import Bench, seconds_of
from sample import Sample
from speed_table import Comparison, Row, Target

QUERIES = 100


@pytest.mark.parametrize("steps", ["row", "batch"])
def test_queries_of_another_process_during_a_drain(bench: Bench, steps: str) -> None:
    queried, alone = bench.alternate(
        lambda: _drained(bench, steps, QUERIES),
        lambda: _drained(bench, steps, 0),
    )

    assert {sample.facts["queries"] for sample in queried} == {QUERIES}
    name = f"{bench.sizes.runs:,} runs, three {steps} steps, {QUERIES} queries of another process"
    bench.record(
        Row(name, Target(Comparison.TIMES_AS_LONG, 1.1), seconds_of(queried), seconds_of(alone))
    )


def _drained(bench: Bench, steps: str, queries: int) -> Sample:
    return bench.on_new(
        "engine_side",
        "load_and_run_with_queries",
        source=str(bench.stores.source(bench.sizes.runs)),
        steps=steps,
        workers=bench.sizes.workers,
        queries=queries,
    )
