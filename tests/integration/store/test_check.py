"""A check finds each kind of damage, and nothing in a store that is sane."""

from __future__ import annotations

import enum
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

import batchflow as bf
from batchflow.access.stored_catalog import StoredCatalog
from batchflow.store.query.check import check
from batchflow.store.read_only_store import ReadOnlyStore
from batchflow.testing import FakeClock

RUNS = 300
HEADER_BYTES = 12_288
BLOCK_BYTES = 262_144


class Place(enum.Enum):
    NEW = 1
    MIDDLE = 2
    DONE = 3


@dataclass
class Letter:
    number: int
    weight: int = 0


def sort(run: bf.Run[Letter, Place]) -> Any:
    if run.object.number % 50 == 0 and run.attempt == 1:
        raise ValueError("it is torn")
    return Place.MIDDLE


def letters(**options: Any) -> bf.Workflow[Letter, Place]:
    workflow = bf.Workflow("letters", Letter, Place, retry=bf.Retry(backoff_seconds=60), **options)
    workflow.add_step(Place.NEW, sort, Place.MIDDLE)
    workflow.sql_step(Place.MIDDLE, to=[Place.DONE])
    return workflow


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store whose runs were loaded, moved, paused, resumed, retried and edited."""
    path, clock = tmp_path_factory.mktemp("night") / "night.duckdb", FakeClock()
    with bf.Engine(path, letters(), workers=0, clock=clock) as engine:
        engine.trigger_many(f"SELECT range AS number FROM range({RUNS})", foreign_id="number")
        changes = (
            lambda: engine.run(limit=200, progress=False),
            lambda: engine.pause("number % 7 = 0"),
            lambda: engine.edit("number % 5 = 0", set={"weight": "1"}),
            lambda: engine.run(progress=False),
            lambda: engine.resume("number % 14 = 0"),
            lambda: engine.cancel("number = 7"),
            lambda: engine.retry("number < 9 AND run_state <> 'RUNNING'", at="NEW"),
            lambda: engine.run(progress=False),
        )
        for change in changes:
            clock.advance(1)
            change()
        assert engine.check().ok
    return path


@pytest.fixture
def path(night: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(night.read_bytes())
    return copy


def test_a_sane_store_has_its_sizes(path: Path) -> None:
    with bf.connect(path) as store:
        report = store.check()
    assert report.ok
    assert (report.problems, report.unverified) == ((), ())
    sizes = {each.table: each for each in report.tables}
    assert sizes["letters.runs"].rows == RUNS
    assert 0 < sizes["letters.runs"].bytes < report.file_bytes
    assert 0 <= report.free_bytes < report.file_bytes
    assert str(report).startswith("The store is sane.")


def test_only_rows_that_are_there_are_counted() -> None:
    clock = FakeClock()
    with bf.Engine(":memory:", letters(), workers=0, clock=clock) as engine:
        engine.trigger_many(f"SELECT range AS number FROM range({RUNS})", foreign_id="number")
        for _ in range(3):
            engine.edit("true", set={"weight": "weight + 1"})
        engine.cancel("number < 100")
        clock.advance(1)
        engine.prune(finished_before=timedelta(0))
        sizes = {each.table: each.rows for each in engine.check().tables}
    assert sizes["letters.runs"] == RUNS - 100


LOG = "letters.transitions_without_reason"
DOUBLE = "INSERT INTO {0} BY NAME SELECT * EXCLUDE (run_id) FROM {0}"
DAMAGE: dict[str, tuple[str, set[str]]] = {
    "a run is doubled": (
        f"{DOUBLE.format('letters.runs')} WHERE seq = 101",
        {"runs that are in the table twice"},
    ),
    "a run is lost": (
        "DELETE FROM letters.runs WHERE seq = 101",
        {"transitions of runs that aren't in the table"},
    ),
    "a run has a number of the future": (
        "UPDATE batchflow.workflows SET next_seq = 299",
        {"runs with a number that is yet to be given"},
    ),
    "two runs have one foreign id": (
        "UPDATE letters.runs SET foreign_id = 'x' WHERE seq IN (21, 35)",
        {"unfinished runs whose foreign id has another one"},
    ),
    "a transition is lost": (
        f"DELETE FROM {LOG} WHERE seq = 101 AND version = 2",
        {"runs whose versions have a gap"},
    ),
    "the last transition is lost": (
        f"DELETE FROM {LOG} WHERE seq = 101 AND to_status = 'DONE'",
        {"runs whose version isn't that of their last transition"},
    ),
    "a transition is doubled": (
        f"{DOUBLE.format(LOG)} WHERE seq = 101 AND version = 2",
        {"runs with two transitions of one version"},
    ),
    "a run is moved": (
        "UPDATE letters.runs SET status = 'MIDDLE' WHERE seq = 101",
        {"runs that aren't where their last transition led"},
    ),
    "a run state is changed": (
        "UPDATE letters.runs SET run_state = 'PAUSED' WHERE seq = 101",
        {"runs that aren't where their last transition led"},
    ),
    "a transition goes elsewhere": (
        f"UPDATE {LOG} SET to_status = 'DONE' WHERE seq = 101 AND version = 2",
        {
            "transitions that don't begin where the one before led",
            "transitions that the workflow doesn't declare",
        },
    ),
    "a run state in the log is changed": (
        f"UPDATE {LOG} SET run_state = 'DATA_DELETED' WHERE seq = 101 AND version = 2",
        {"changes of the run state that aren't allowed"},
    ),
    "an error is lost": (
        "DELETE FROM letters.errors WHERE seq = 100",
        {"failures without their error, or errors without their failure"},
    ),
    "an operation is lost": (
        "DELETE FROM batchflow.operations WHERE operation = 'retry'",
        {"transitions by hand that no operation made"},
    ),
    "the changes of an operation are lost": (
        "UPDATE batchflow.operations SET changed = changed + 1 WHERE operation = 'edit'",
        {"changes by operations that aren't in the log"},
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_each_kind_of_damage_is_found(path: Path, case: str) -> None:
    statement, expected = DAMAGE[case]
    with duckdb.connect(str(path)) as connection:
        connection.execute(statement)
    # A client would open the file for each query.
    with closing(ReadOnlyStore(path)) as store:
        report = check(store.source, StoredCatalog(store.source, store.path))
    assert {problem.what for problem in report.problems} == expected
    assert not report.ok
    assert all(problem.count for problem in report.problems)
    assert str(report).splitlines()[0] == f"{len(expected)} problem{'s' * (len(expected) > 1)}:"


def test_a_check_names_the_runs(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE letters.runs SET status = 'MIDDLE' WHERE seq IN (101, 102)")
    with bf.connect(path) as store:
        [problem] = store.check().problems
        chosen = store.runs(f"run_id IN {problem.samples}").select("seq").fetchall()
    assert (problem.count, {seq for (seq,) in chosen}) == (2, {101, 102})


def test_a_damaged_block_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "large.duckdb"
    with bf.Engine(path, letters(), workers=0) as engine:
        engine.trigger_many("SELECT range AS number FROM range(20_000)", foreign_id="number")
    with duckdb.connect(str(path)) as connection:
        [(block,)] = connection.execute(
            "SELECT min(block_id) FROM pragma_storage_info('letters.runs') "
            "WHERE column_name = 'foreign_id' AND block_id > 0"
        ).fetchall()
    content = bytearray(path.read_bytes())
    content[HEADER_BYTES + block * BLOCK_BYTES + BLOCK_BYTES // 2] ^= 0xFF
    path.write_bytes(content)
    with bf.connect(path) as store:
        report = store.check()
    [problem] = report.problems
    assert problem.what.startswith("the table of runs can't be read: ")
    assert "is checked no further" in report.unverified[0]


def test_what_cannot_be_verified_is_listed(tmp_path: Path) -> None:
    path, clock = tmp_path / "two.duckdb", FakeClock()
    silent: Any = bf.Workflow("silent", Letter, Place, record_transitions=False)
    silent.sql_step(Place.NEW, to=[Place.DONE])
    with bf.Engine(path, letters(), silent, workers=0, clock=clock) as engine:
        for workflow in ("letters", "silent"):
            engine.trigger_many("SELECT 1 AS number", foreign_id="number", workflow=workflow)
        engine.run(progress=False)
        clock.advance(1)
        engine.prune(timedelta(0), workflow="letters")
        report = engine.check()
    assert report.ok
    assert report.unverified == (
        "Workflow 'letters' lacks 1 run that was pruned, or that a load left out.",
        "Workflow 'silent' has no log of transitions, so nothing is compared with it.",
    )
    assert report.as_dict()["ok"] is True
