from __future__ import annotations

from bench import Bench, seconds_of
from sample import Sample
from speed_table import Comparison, Row, Target

RUNS = 13_000


def test_loops_against_a_commit_for_each_step(bench: Bench) -> None:
    measured, baseline = bench.alternate(
        lambda: _drained(bench, visits=True),
        lambda: _drained(bench, visits=False),
    )

    assert measured[0].counts == baseline[0].counts
    name = f"{RUNS:,} runs that pop a list of 20 structs by a self-loop, then cycle"
    target = Target(Comparison.TIMES_FASTER, 8)
    bench.record(Row(name, target, seconds_of(measured), seconds_of(baseline), runs=RUNS))


def _drained(bench: Bench, *, visits: bool) -> Sample:
    workers = bench.sizes.workers
    return bench.on_new("loans", "drain", runs=RUNS, workers=workers, visits=int(visits))
