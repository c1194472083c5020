"""The process dies while the outcome of a rehearsal is stored: all of it is stored, or nothing."""

from __future__ import annotations

import signal
from pathlib import Path

import duckdb
import pytest

from kit.forked import execute

SCRIPT = """
import enum, os, signal, sys
from dataclasses import dataclass

import batchflow as bf
from batchflow import testing


class Stage(enum.Enum):
    NEW = 1
    DONE = 2


@dataclass
class Thing:
    number: int


things = bf.Workflow("things", Thing, Stage)


@things.step(Stage.NEW, to=Stage.DONE)
def double(run):
    run.object.number *= 2
    return Stage.DONE


path, point = sys.argv[1:]
with bf.Engine(path, things, workers=0) as engine:
    engine.trigger_many([Thing(number) for number in range(10)], foreign_id="number")
    with engine.rehearse("true") as shown:
        if point != "afterwards":
            testing.arm_crash(point)
        shown.promote()
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("point", "left"), [("within_control", ("NEW", 45)), ("afterwards", ("DONE", 90))]
)
def test_a_promotion_that_is_killed_has_stored_all_or_nothing(
    tmp_path: Path, point: str, left: tuple[str, int]
) -> None:
    store = tmp_path / "store.duckdb"
    died = execute(SCRIPT, store, point)
    assert died.code == -signal.SIGKILL, died.output
    with duckdb.connect(store) as connection:
        states = "SELECT status::VARCHAR, sum(number)::BIGINT FROM things.runs GROUP BY ALL"
        assert connection.sql(states).fetchall() == [left]
        moves = connection.sql("SELECT count(*) FROM things.transitions").fetchall()
        assert moves == [(10 if left[0] == "DONE" else 0,)]
