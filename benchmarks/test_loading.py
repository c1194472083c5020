from __future__ import annotations

from bench import Bench, seconds_of
from speed_table import Comparison, Row, Target


def test_loading_against_create_table_as(bench: Bench) -> None:
    runs = bench.sizes.runs
    source = str(bench.stores.source(runs))

    measured, baseline = bench.alternate(
        lambda: bench.on_new("engine_side", "load", source=source),
        lambda: bench.on_new("baselines", "create_table_as", source=source),
    )

    assert {sample.counts["loaded"] for sample in measured + baseline} == {runs}
    name = f"trigger_many of {runs:,} runs from Parquet"
    target = Target(Comparison.TIMES_AS_LONG, 2.5)
    bench.record(Row(name, target, seconds_of(measured), seconds_of(baseline)))
