from __future__ import annotations

from bench import Bench, seconds_of
from importing import importing
from speed_table import Against, Bar, Row

MOST_TIMES_AS_LONG = 1.3


def test_import_against_pyarrow(bench: Bench) -> None:
    batchflow, engine, pyarrow = bench.in_turn(
        lambda: importing("import batchflow"),
        lambda: importing("from batchflow import Engine, Workflow"),
        lambda: importing("import pyarrow"),
    )

    floor = seconds_of(pyarrow)
    bar = Bar(Against.TIMES_AS_LONG, MOST_TIMES_AS_LONG)
    bench.record(Row("import batchflow; floor: import pyarrow", bar, seconds_of(batchflow), floor))
    name = "from batchflow import Engine, Workflow; floor: the same"
    bench.record(Row(name, Bar(Against.NOTHING), seconds_of(engine), floor))
