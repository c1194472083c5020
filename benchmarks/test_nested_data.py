from __future__ import annotations

from collections.abc import Callable

import pytest

from bench import Bench, seconds_of
from fresh_process import measure_in_fresh_process
from sample import Sample
from speed_table import Comparison, Row, Target, Unit

FEW_SCANS = 2
MANY_SCANS = 20
MOST_MORE_MB = 200


def test_appending_to_lists_of_structs_against_a_plain_loop(bench: Bench) -> None:
    runs = bench.sizes.runs
    source = str(bench.stores.nested_source(runs, FEW_SCANS))

    measured, baseline = bench.alternate(
        _drained(bench, "row"),
        lambda: measure_in_fresh_process("shipments_by_hand", "plain_loop", {"source": source}),
    )

    _assert_same_counts(measured, baseline)
    name = f"{runs:,} runs, a row step that appends to a list of structs"
    target = Target(Comparison.TIMES_FASTER, 1)
    bench.record(Row(name, target, seconds_of(measured), seconds_of(baseline), runs=runs))


def test_nested_arrow_columns_against_an_update_by_hand(bench: Bench) -> None:
    runs = bench.sizes.runs
    source = str(bench.stores.nested_source(runs, FEW_SCANS))

    measured, baseline = bench.alternate(
        _drained(bench, "batch"),
        lambda: bench.on_new("shipments_by_hand", "load_and_update", source=source),
    )

    _assert_same_counts(measured, baseline)
    name = f"{runs:,} runs, a batch step that returns a nested Arrow column"
    target = Target(Comparison.TIMES_AS_LONG, 1.3)
    bench.record(Row(name, target, seconds_of(measured), seconds_of(baseline), runs=runs))


def test_memory_of_loading_growing_numbers_of_nested_runs(bench: Bench) -> None:
    if not bench.sizes.large:
        pytest.skip("needs --large")
    few, many = bench.sizes.runs * 3 // 10, bench.sizes.runs * 13 // 10

    measured, baseline = bench.alternate(_loaded(bench, many), _loaded(bench, few))

    name = f"loading {many:,} nested runs against {few:,}: peak memory"
    target = Target(Comparison.MORE, MOST_MORE_MB)
    bench.record(Row(name, target, _peaks(measured), _peaks(baseline), Unit.MEGABYTES))


def _drained(bench: Bench, steps: str) -> Callable[[], Sample]:
    source, workers = (
        str(bench.stores.nested_source(bench.sizes.runs, FEW_SCANS)),
        bench.sizes.workers,
    )
    return lambda: bench.on_new(
        "shipments_drained", "load_and_run", source=str(source), steps=steps, workers=workers
    )


def _loaded(bench: Bench, runs: int) -> Callable[[], Sample]:
    source = str(bench.stores.nested_source(runs, MANY_SCANS))
    return lambda: bench.on_new("shipments_drained", "load", source=source)


def _peaks(samples: list[Sample]) -> list[float]:
    return [sample.peak_mb for sample in samples]


def _assert_same_counts(*taken: list[Sample]) -> None:
    """Check that batchflow and the baseline bring the runs to the same statuses."""
    results = {frozenset(sample.counts.items()) for samples in taken for sample in samples}
    assert len(results) == 1, results
