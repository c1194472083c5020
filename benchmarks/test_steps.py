from __future__ import annotations

from bench import Bench, seconds_of
from fresh_process import measure_in_fresh_process
from sample import Sample
from speed_table import Comparison, Row, Target

POOL_CHUNK_ROWS = (1_000, 4_000, 16_000, 32_000, 64_000)


def test_row_steps_against_a_pool_in_memory(bench: Bench) -> None:
    runs, workers = bench.sizes.runs, bench.sizes.workers
    source = str(bench.stores.source(runs))

    def pool(chunk_rows: int) -> Sample:
        arguments: dict[str, str | int] = {
            "source": source,
            "workers": workers,
            "chunk_rows": chunk_rows,
        }
        return measure_in_fresh_process("baselines", "pool_in_memory", arguments)

    best_chunk_rows = min(POOL_CHUNK_ROWS, key=lambda chunk_rows: pool(chunk_rows).seconds)
    measured, baseline = bench.alternate(
        lambda: _drained(bench, "row"),
        lambda: pool(best_chunk_rows),
    )

    _assert_same_counts(measured, baseline)
    name = f"{runs:,} runs, three row steps; baseline: Pool, chunks of {best_chunk_rows:,}"
    target = Target(Comparison.TIMES_FASTER, 2)
    bench.record(Row(name, target, seconds_of(measured), seconds_of(baseline), runs=runs))


def test_row_steps_with_a_commit_after_each(bench: Bench) -> None:
    runs = bench.sizes.runs

    measured, baseline = bench.alternate(
        lambda: _drained(bench, "committed row"),
        lambda: _drained(bench, "row without visits"),
    )

    _assert_same_counts(measured, baseline)
    name = f"{runs:,} runs, three row steps with commit='after'; baseline: without visits"
    target = Target(Comparison.TIMES_AS_LONG, 1.05)
    bench.record(Row(name, target, seconds_of(measured), seconds_of(baseline), runs=runs))


def test_batch_steps_against_a_hand_written_script(bench: Bench) -> None:
    runs = bench.sizes.runs

    measured, three, one = bench.alternate(
        lambda: _drained(bench, "batch"),
        lambda: _by_hand(bench, "batches"),
        lambda: _by_hand(bench, "batches in one pass"),
    )

    _assert_same_counts(measured, three, one)
    for passes, baseline, faster in (("three passes", three, 1.1), ("one pass", one, 0.75)):
        name = f"{runs:,} runs, three batch steps; baseline: {passes}"
        target = Target(Comparison.TIMES_FASTER, faster)
        bench.record(Row(name, target, seconds_of(measured), seconds_of(baseline), runs=runs))


def test_sql_steps_against_hand_written_sql(bench: Bench) -> None:
    runs = bench.sizes.runs

    measured, three, one = bench.alternate(
        lambda: _drained(bench, "sql"),
        lambda: _by_hand(bench, "sql"),
        lambda: _by_hand(bench, "sql in one pass"),
    )

    _assert_same_counts(measured, three, one)
    for passes, baseline, longer in (("three passes", three, 1.1), ("one pass", one, 1.35)):
        name = f"{runs:,} runs, three SQL steps; baseline: {passes}"
        target = Target(Comparison.TIMES_AS_LONG, longer)
        bench.record(Row(name, target, seconds_of(measured), seconds_of(baseline), runs=runs))


def _drained(bench: Bench, steps: str) -> Sample:
    source, workers = str(bench.stores.source(bench.sizes.runs)), bench.sizes.workers
    return bench.on_new("engine_side", "load_and_run", source=source, steps=steps, workers=workers)


def _by_hand(bench: Bench, how: str) -> Sample:
    source = str(bench.stores.source(bench.sizes.runs))
    return bench.on_new("baselines", "load_and_advance", source=source, how=how)


def _assert_same_counts(*taken: list[Sample]) -> None:
    """Check that batchflow and the baseline bring the runs to the same statuses."""
    results = {frozenset(sample.counts.items()) for samples in taken for sample in samples}
    assert len(results) == 1, results
