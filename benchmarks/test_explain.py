from __future__ import annotations

from bench import Bench, seconds_of
from fresh_process import measure_in_fresh_process
from speed_table import Comparison, Row, Target
from wide_orders import CAUSE


def test_what_failed_runs_of_thirty_columns_share(bench: Bench) -> None:
    store = {"store": str(bench.stores.unused())}
    measure_in_fresh_process("wide_orders", "load", {**store, "runs": bench.sizes.runs})

    (timed,) = bench.alternate(
        lambda: measure_in_fresh_process("wide_orders", "time_explain", store)
    )

    assert {sample.facts["slice"] for sample in timed} == {CAUSE}
    name = f"explain() over {bench.sizes.runs:,} runs of thirty columns"
    bench.record(Row(name, Target(Comparison.ALONE, 5.0), seconds_of(timed)))
