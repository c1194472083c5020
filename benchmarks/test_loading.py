from __future__ import annotations

from bench import Bench, seconds_of
from speed_table import Comparison, Row, Target


def test_loading_against_create_table_as(bench: Bench) -> None:
    _measure(bench, str(bench.stores.source(bench.sizes.runs)), "", 2.5)


def test_loading_ids_that_do_not_ascend_against_create_table_as(bench: Bench) -> None:
    source = str(bench.stores.scattered_source(bench.sizes.runs))
    _measure(bench, source, ", scattered ids", 2)


def _measure(bench: Bench, source: str, what: str, longest: float) -> None:
    runs = bench.sizes.runs

    measured, baseline = bench.alternate(
        lambda: bench.on_new("engine_side", "load", source=source),
        lambda: bench.on_new("baselines", "create_table_as", source=source),
    )

    assert {sample.counts["loaded"] for sample in measured + baseline} == {runs}
    name = f"trigger_many of {runs:,} runs from Parquet{what}"
    target = Target(Comparison.TIMES_AS_LONG, longest)
    bench.record(Row(name, target, seconds_of(measured), seconds_of(baseline)))
