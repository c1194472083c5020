from __future__ import annotations

from collections.abc import Callable

from bench import Bench
from sample import Sample
from speed_table import Comparison, Row, Target, Unit

MOST_TIMES_AS_LONG_PER_RUN = 1.1
MOST_MORE_MB = 200


def test_batch_steps_over_growing_numbers_of_runs(bench: Bench) -> None:
    factors = (16, 4, 1) if bench.sizes.large else (4, 1)
    sizes = [factor * bench.sizes.runs for factor in factors]

    samples = bench.alternate(*(_drain(bench, runs) for runs in sizes))

    taken = dict(zip(sizes, samples, strict=True))
    smallest = bench.sizes.runs
    for runs in reversed(sizes[:-1]):
        _record_growth(bench, runs, taken[runs], smallest, taken[smallest])


def _drain(bench: Bench, runs: int) -> Callable[[], Sample]:
    loaded, workers = bench.stores.engine_store(runs), bench.sizes.workers
    return lambda: bench.on_copy(
        loaded, "engine_side", "run", steps="batch", workers=workers, watch_workers=True
    )


def _record_growth(
    bench: Bench, runs: int, large: list[Sample], smallest: int, small: list[Sample]
) -> None:
    of = f"batch steps, {runs:,} runs against {smallest:,}"
    bench.record(
        Row(
            f"{of}: time per run",
            Target(Comparison.TIMES_AS_LONG, MOST_TIMES_AS_LONG_PER_RUN),
            [sample.seconds / runs for sample in large],
            [sample.seconds / smallest for sample in small],
            Unit.SECONDS_PER_RUN,
        )
    )
    more = Target(Comparison.MORE, MOST_MORE_MB)
    for process, peaks in (("coordinator", _peaks), ("largest worker", _worker_peaks)):
        name = f"{of}: peak memory, {process}"
        bench.record(Row(name, more, peaks(large), peaks(small), Unit.MEGABYTES))


def _peaks(samples: list[Sample]) -> list[float]:
    return [sample.peak_mb for sample in samples]


def _worker_peaks(samples: list[Sample]) -> list[float]:
    return [sample.peak_worker_mb for sample in samples]
