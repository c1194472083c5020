"""A drain imports nothing heavy that it can do without, as each nightly run is a new process."""

from __future__ import annotations

from pathlib import Path

from kit import forked

DRAIN = """
import enum, sys
from dataclasses import dataclass

import batchflow as bf


class Stage(enum.Enum):
    NEW = 1
    COUNTED = 2
    DOUBLED = 3
    DONE = 4


@dataclass
class Thing:
    number: int = 0


def finish(run):
    if run.object.number == 2:
        raise ValueError("again")
    return Stage.DONE


assert "pyarrow.acero" not in sys.modules
things = bf.Workflow("things", Thing, Stage)
things.sql_step(Stage.NEW, to=Stage.COUNTED, set={"number": "number + 1"})
things.sql_step(Stage.COUNTED, to=Stage.DOUBLED, set={"number": "number * 2"})
things.add_step(Stage.DOUBLED, finish, Stage.DONE)
with bf.Engine(sys.argv[1], things, workers=0) as engine:
    engine.trigger_many([Thing(number) for number in range(3)], foreign_id="number")
    assert engine.run().waiting_for_retry == 1
assert "pyarrow.acero" not in sys.modules
"""


def test_a_drain_groups_nothing_with_acero(path: Path) -> None:
    ended = forked.execute(DRAIN, path)

    assert ended == forked.Ended(0, "")
