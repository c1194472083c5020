from __future__ import annotations

from bench import Bench, seconds_of
from importing import importing
from speed_table import Comparison, Row, Target

MOST_TIMES_AS_LONG = 1.3


def test_import_against_pyarrow(bench: Bench) -> None:
    batchflow, engine, pyarrow = bench.alternate(
        lambda: importing("import batchflow"),
        lambda: importing("from batchflow import Engine, Workflow"),
        lambda: importing("import pyarrow"),
    )

    baseline = seconds_of(pyarrow)
    target = Target(Comparison.TIMES_AS_LONG, MOST_TIMES_AS_LONG)
    bench.record(
        Row("import batchflow; baseline: import pyarrow", target, seconds_of(batchflow), baseline)
    )
    name = "from batchflow import Engine, Workflow; baseline: the same"
    bench.record(Row(name, Target(Comparison.NOTHING), seconds_of(engine), baseline))
