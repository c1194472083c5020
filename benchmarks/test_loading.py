from __future__ import annotations

from bench import Bench, seconds_of
from speed_table import Against, Bar, Row


def test_loading_against_create_table_as(bench: Bench) -> None:
    runs = bench.sizes.runs
    source = str(bench.stores.source(runs))

    measured, floor = bench.in_turn(
        lambda: bench.on_new("engine_side", "load", source=source),
        lambda: bench.on_new("floors", "create_table_as", source=source),
    )

    assert {sample.counts["loaded"] for sample in measured + floor} == {runs}
    name = f"trigger_many of {runs:,} runs from Parquet"
    bar = Bar(Against.TIMES_AS_LONG, 2.5)
    bench.record(Row(name, bar, seconds_of(measured), seconds_of(floor)))
