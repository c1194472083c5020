from __future__ import annotations

import pytest

from bench import Bench, seconds_of
from sample import Sample
from speed_table import Against, Bar, Row

QUERIES = 100


@pytest.mark.parametrize("steps", ["row", "batch"])
def test_another_process_asks_during_a_drain(bench: Bench, steps: str) -> None:
    asked, alone = bench.in_turn(
        lambda: _drained(bench, steps, QUERIES),
        lambda: _drained(bench, steps, 0),
    )

    assert {sample.facts["answered"] for sample in asked} == {QUERIES}
    name = f"{bench.sizes.runs:,} runs, three {steps} steps, {QUERIES} queries meanwhile"
    bench.record(Row(name, Bar(Against.TIMES_AS_LONG, 1.1), seconds_of(asked), seconds_of(alone)))


def _drained(bench: Bench, steps: str, queries: int) -> Sample:
    return bench.on_new(
        "engine_side",
        "load_and_run_asked",
        source=str(bench.stores.source(bench.sizes.runs)),
        steps=steps,
        workers=bench.sizes.workers,
        queries=queries,
    )
