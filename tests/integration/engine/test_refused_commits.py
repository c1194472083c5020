"""Refused results are committed in smaller parts; runs refused even then stay unchanged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import batchflow as bf
from kit.open_store import OpenStore, open_store
from kit.things import Stage


@dataclass
class Thing:
    number: int = 0
    text: str = ""


RUNS = 3_000
CHANGED = 1_234


def row_things() -> bf.Workflow[Thing, Stage]:
    things = bf.Workflow("things", Thing, Stage)

    @things.step(Stage.NEW, to=Stage.DONE)
    def finish(run: bf.Run[Thing, Stage]) -> Stage:
        run.object.text = f"number {run.object.number}"
        return Stage.DONE

    return things


def batch_things() -> bf.Workflow[Thing, Stage]:
    things = bf.Workflow("things", Thing, Stage)

    @things.batch_step(Stage.NEW, to=Stage.DONE)
    def finish(batch: bf.Batch[Thing, Stage]) -> Stage:
        batch["text"] = [f"number {number}" for number in batch["number"]]
        return Stage.DONE

    return things


def sql_things() -> bf.Workflow[Thing, Stage]:
    things = bf.Workflow("things", Thing, Stage)
    things.sql_step(Stage.NEW, to=Stage.DONE, set={"text": "'number ' || number"})
    return things


@contextmanager
def changed_elsewhere(store: OpenStore) -> Iterator[None]:
    """Keep a transaction open that changed one run, so that others conflict with it."""
    other = store.store.connection.root.cursor()
    other.begin()
    other.execute(f"UPDATE things.runs SET version = 99 WHERE number = {CHANGED}").fetchall()
    try:
        yield
    finally:
        other.rollback()


@pytest.mark.parametrize("made", [row_things, batch_things, sql_things])
def test_a_conflict_affects_only_its_own_run(
    made: Any, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_store(path, made()) as store:
        store.trigger_many([Thing(number) for number in range(RUNS)], foreign_id="number")
        with (
            changed_elsewhere(store),
            caplog.at_level(logging.ERROR, logger="batchflow"),
            pytest.raises(bf.CommitError, match=r"[Cc]onflict"),
        ):
            store.drain()

        waiting = store.runs("status = 'NEW'").select("number, text, version, run_state::VARCHAR")
        assert waiting.fetchall() == [(CHANGED, "", 1, "INITIATED")]
        assert store.sql("SELECT count(*) FROM things.transitions").fetchall() == [(RUNS - 1,)]
        assert [record.__dict__["action"] for record in caplog.records] == ["refuse_commit"]

        tally = store.drain()

        assert tally.advanced == 1
        left = store.sql(
            "SELECT count(*), count(DISTINCT seq) FROM things.runs JOIN things.transitions "
            "USING (seq) WHERE status = 'DONE' AND text = 'number ' || number"
        )
        assert left.fetchall() == [(RUNS, RUNS)]


def test_a_drain_whose_commits_are_all_refused_ends_and_loses_nothing(path: Path) -> None:
    with open_store(path, row_things()) as store:
        store.trigger_many([Thing(number) for number in range(RUNS)], foreign_id="number")
        other = store.store.connection.root.cursor()
        other.begin()
        other.execute("UPDATE things.runs SET version = 99").fetchall()
        with pytest.raises(bf.CommitError):
            store.drain()
        other.rollback()

        assert store.drain().advanced == RUNS


def test_the_counts_are_those_of_stored_results(path: Path) -> None:
    tallies = []
    with open_store(path, row_things()) as store:
        store.trigger_many([Thing(number) for number in range(RUNS)], foreign_id="number")
        with changed_elsewhere(store), pytest.raises(bf.CommitError):
            store.drain(listeners=[lambda tally: tallies.append(tally.advanced)])

    assert tallies[-1] == RUNS - 1
