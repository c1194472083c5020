"""The process dies at the armed point, and everything that it had committed is stored."""

from __future__ import annotations

import signal
from pathlib import Path

import duckdb
import pytest

from batchflow.crash_point import CRASH_POINTS
from batchflow.errors import EngineStateError
from batchflow.testing import arm_crash
from kit.forked import execute

RUNS = 10

SCRIPT = f"""
import enum, sys, time
from dataclasses import dataclass
from datetime import timedelta

import batchflow as bf
from batchflow import testing


class Stage(enum.Enum):
    NEW = 1
    HALF = 2
    DONE = 3


@dataclass
class Thing:
    number: int


things = bf.Workflow("things", Thing, Stage)
things.sql_step(Stage.HALF, to=Stage.DONE)


@things.step(Stage.NEW, to=Stage.HALF)
def halve(run):
    time.sleep(pause)
    return Stage.HALF


path, point, nth, delay, pause = sys.argv[1], sys.argv[2], *map(float, sys.argv[3:])
with bf.Engine(path, things, workers=0) as engine:
    testing.arm_crash(point, nth=int(nth), delay_seconds=delay if delay >= 0 else None)
    engine.trigger_many([Thing(number) for number in range({RUNS})], foreign_id="number")
    engine.pause("number = 0")
    engine.resume("number = 0")
    engine.cancel("number = 1")
    engine.retry("number = 1")
    engine.edit("number = 1", set={{"number": "number + {RUNS}"}})
    engine.run()
    engine.prune(timedelta(0))
"""

# The status counts after a process died at a point the first time.
LEFT = {
    "at_commit": {},
    "within_load": {},
    "after_load": {"NEW": RUNS},
    "within_control": {"NEW": RUNS},
    "before_claim": {"NEW": RUNS},
    "chunks_in_flight": {"NEW": RUNS},
    "before_commit": {"NEW": RUNS},
    "within_commit": {"NEW": RUNS},
    "after_commit": {"HALF": RUNS},
    "within_prune": {"DONE": RUNS},
    # The checkpoint comes before runs are pruned.
    "at_checkpoint": {"DONE": RUNS},
    "at_close": {},
}


def left_behind(
    folder: Path, point: str, *, nth: int = 1, delay: float = -1.0, pause: float = 0.0
) -> dict[str, int]:
    """Return the status counts after the process was killed."""
    store = folder / "store.duckdb"
    died = execute(SCRIPT, store, point, nth, delay, pause)
    assert died.code == -signal.SIGKILL, died.output
    with duckdb.connect(store) as connection:
        counts = "SELECT status::VARCHAR, count(*) FROM things.runs GROUP BY ALL"
        return dict(connection.sql(counts).fetchall())


def test_each_point_is_known_here() -> None:
    # A store by itself has no files that are put in place together, and this one exports nothing.
    exporting = {"within_export", "export_begun", "before_success", "export_written"}
    assert {*LEFT, "within_placing", *exporting} == set(CRASH_POINTS)


@pytest.mark.parametrize("point", LEFT)
def test_the_process_dies_at_the_point(tmp_path: Path, point: str) -> None:
    assert left_behind(tmp_path, point) == LEFT[point]


# The prune's commit is the last one, after a load, five operations and two steps.
@pytest.mark.parametrize(("point", "nth"), [("within_prune", 1), ("at_commit", 9)])
def test_a_prune_that_is_killed_has_removed_nothing(tmp_path: Path, point: str, nth: int) -> None:
    assert left_behind(tmp_path, point, nth=nth) == {"DONE": RUNS}
    with duckdb.connect(tmp_path / "store.duckdb") as connection:
        # Each was moved by two steps, and two were changed by five operations.
        transitions = connection.sql("SELECT count(*) FROM things.transitions").fetchall()
        assert transitions == [(2 * RUNS + 5,)]


# The operations after the pause, the resume and the cancellation, and the commits after the load's.
@pytest.mark.parametrize(
    ("point", "nth", "left"),
    [
        ("within_control", 4, (1, "CANCELLED", 2)),
        ("at_commit", 5, (1, "CANCELLED", 2)),
        ("within_control", 5, (1, "RUNNING", 3)),
        ("at_commit", 6, (1, "RUNNING", 3)),
    ],
)
def test_a_retry_or_an_edit_that_is_killed_has_changed_nothing(
    tmp_path: Path, point: str, nth: int, left: tuple[int, str, int]
) -> None:
    assert left_behind(tmp_path, point, nth=nth) == {"NEW": RUNS}
    with duckdb.connect(tmp_path / "store.duckdb") as connection:
        query = "SELECT number, run_state::VARCHAR, version FROM things.runs WHERE seq = 1"
        assert connection.sql(query).fetchall() == [left]
        log = "SELECT max(version) FROM things.transitions WHERE seq = 1"
        assert connection.sql(log).fetchall() == [(left[2],)]


def test_the_process_dies_at_the_nth_time(tmp_path: Path) -> None:
    # The first commit is that of the row step, the second one that of the SQL step.
    assert left_behind(tmp_path, "within_commit", nth=2) == {"HALF": RUNS}


def test_the_process_dies_after_the_delay(tmp_path: Path) -> None:
    # Long after the claim, but within the step that sleeps.
    assert left_behind(tmp_path, "before_claim", delay=0.05, pause=60.0) == {"NEW": RUNS}


def test_an_unknown_point_is_rejected() -> None:
    with pytest.raises(EngineStateError, match="'within_lunch'; give one of before_claim, "):
        arm_crash("within_lunch")  # type: ignore[arg-type]
