from __future__ import annotations

from apart import measured_apart
from bench import Bench, seconds_of
from sample import Sample
from speed_table import Against, Bar, Row

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
        return measured_apart("floors", "pool_in_memory", arguments)

    best_chunk_rows = min(POOL_CHUNK_ROWS, key=lambda chunk_rows: pool(chunk_rows).seconds)
    measured, floor = bench.in_turn(
        lambda: _drained(bench, "row"),
        lambda: pool(best_chunk_rows),
    )

    _assert_same_counts(measured, floor)
    name = f"{runs:,} runs, three row steps; floor: Pool, chunks of {best_chunk_rows:,}"
    bar = Bar(Against.TIMES_FASTER, 2)
    bench.record(Row(name, bar, seconds_of(measured), seconds_of(floor), runs=runs))


def test_batch_steps_against_a_script_by_hand(bench: Bench) -> None:
    runs = bench.sizes.runs

    measured, floor = bench.in_turn(
        lambda: _drained(bench, "batch"),
        lambda: _by_hand(bench, "batches"),
    )

    _assert_same_counts(measured, floor)
    name = f"{runs:,} runs, three batch steps"
    bar = Bar(Against.TIMES_FASTER, 1)
    bench.record(Row(name, bar, seconds_of(measured), seconds_of(floor), runs=runs))


def test_sql_steps_against_sql_by_hand(bench: Bench) -> None:
    runs = bench.sizes.runs

    measured, floor = bench.in_turn(
        lambda: _drained(bench, "sql"),
        lambda: _by_hand(bench, "sql"),
    )

    _assert_same_counts(measured, floor)
    name = f"{runs:,} runs, three SQL steps"
    bar = Bar(Against.TIMES_AS_LONG, 1.25)
    bench.record(Row(name, bar, seconds_of(measured), seconds_of(floor), runs=runs))


def _drained(bench: Bench, steps: str) -> Sample:
    source, workers = str(bench.stores.source(bench.sizes.runs)), bench.sizes.workers
    return bench.on_new("engine_side", "load_and_run", source=source, steps=steps, workers=workers)


def _by_hand(bench: Bench, how: str) -> Sample:
    source = str(bench.stores.source(bench.sizes.runs))
    return bench.on_new("floors", "load_and_move", source=source, how=how)


def _assert_same_counts(*taken: list[Sample]) -> None:
    """Both sides must have brought every run to the same end."""
    ends = {frozenset(sample.counts.items()) for samples in taken for sample in samples}
    assert len(ends) == 1, ends
