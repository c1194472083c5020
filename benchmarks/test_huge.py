"""A hundred times as many runs: drained once, checked against the log, and asked each question."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import Bench
from fresh_process import measure_in_fresh_process
from questions import QUESTIONS
from sample import Sample
from speed_table import Comparison, Row, Target, Unit

TIMES = 100
MOST_TIMES_AS_LONG_PER_RUN = 1.1
MOST_MORE_MB = 200


def test_a_hundred_times_as_many_runs(bench: Bench) -> None:
    if not bench.sizes.huge:
        pytest.skip("this takes some ten minutes and 20 GB of disk; --huge measures it")
    runs, huge = bench.sizes.runs, TIMES * bench.sizes.runs
    small = _drained(bench, bench.stores.fresh(bench.stores.engine_store(runs)))
    # Without a copy, which would take as much space again.
    store = bench.stores.engine_store(huge)
    large = bench.once(lambda: _drained(bench, store))

    checked = _on(store, "checked")
    assert checked.counts["runs"] == huge
    assert checked.counts["broken"] == 0
    name = f"batch steps, {huge:,} runs against {runs:,}"
    _record(bench, name, large, small, huge, runs)
    for question in QUESTIONS:
        asked = _on(store, "time_question", question=question)
        row = f"{question} over {huge:,} runs"
        bench.record(Row(row, Target(Comparison.NOTHING), [asked.seconds]))


def _record(bench: Bench, name: str, large: Sample, small: Sample, runs: int, fewer: int) -> None:
    bench.record(
        Row(
            f"{name}: time per run",
            Target(Comparison.TIMES_AS_LONG, MOST_TIMES_AS_LONG_PER_RUN),
            [large.seconds / runs],
            [small.seconds / fewer],
            Unit.SECONDS_PER_RUN,
        )
    )
    bench.record(
        Row(
            f"{name}: peak memory, coordinator",
            Target(Comparison.MORE, MOST_MORE_MB),
            [large.peak_mb],
            [small.peak_mb],
            Unit.MEGABYTES,
        )
    )


def _drained(bench: Bench, store: Path) -> Sample:
    return _on(store, "run", module="engine_side", steps="batch", workers=bench.sizes.workers)


def _on(store: Path, function: str, *, module: str = "questions", **arguments: str | int) -> Sample:
    return measure_in_fresh_process(
        module, function, {"store": str(store), **arguments}, watch_workers=True
    )
