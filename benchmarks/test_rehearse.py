from __future__ import annotations

from bench import Bench, seconds_of
from fresh_process import measure_in_fresh_process
from speed_table import Comparison, Row, Target


def test_a_rehearsal_over_all_finished_runs(bench: Bench) -> None:
    arguments: dict[str, str | int] = {
        "store": str(bench.stores.finished_store(bench.sizes.runs)),
        "steps": "batch",
        "workers": bench.sizes.workers,
    }

    (timed,) = bench.alternate(
        lambda: measure_in_fresh_process("engine_side", "rehearse", arguments)
    )

    assert {sample.counts["differ"] for sample in timed} == {0}
    name = f"rehearse three batch steps over {bench.sizes.runs:,} finished runs"
    bench.record(Row(name, Target(Comparison.NOTHING), seconds_of(timed)))
