"""Pausing, resuming and cancelling by predicate or by run id."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

import pytest

import batchflow as bf
from batchflow.testing import inline_engine
from kit.things import load, things


@pytest.fixture
def engine() -> Iterator[bf.Engine]:
    with inline_engine(things()) as opened:
        load(opened, 10)
        yield opened


def states(engine: bf.Engine) -> dict[str, int]:
    rows = engine.counts().fetchall()
    return {f"{status} {state}": runs for status, state, runs in rows}


def test_a_predicate_chooses_the_runs_to_pause(engine: bf.Engine) -> None:
    assert engine.pause("number < 3", reason="look at these") == bf.ControlReport("paused", 3, 0)

    engine.run()

    assert states(engine) == {"NEW PAUSED": 3, "DONE COMPLETED": 7}


def test_runs_that_can_not_be_paused_are_refused_and_counted(engine: bf.Engine) -> None:
    engine.pause("number < 3")

    assert engine.pause("number < 5") == bf.ControlReport("paused", 2, 3)


def test_a_cancelled_run_is_not_resumed(engine: bf.Engine) -> None:
    engine.cancel("number = 1")

    assert engine.resume("number = 1") == bf.ControlReport("resumed", 0, 1)


def test_runs_that_were_never_looked_at_can_be_cancelled(engine: bf.Engine) -> None:
    assert engine.cancel("true").changed == 10
    assert engine.run().runs == 0


def test_run_ids_choose_too(engine: bf.Engine) -> None:
    ids = [row[0] for row in engine.runs("number in (2, 4)").select("run_id").fetchall()]

    assert engine.pause(run_ids=ids) == bf.ControlReport("paused", 2, 0)


def test_a_predicate_that_is_no_sql_is_refused_with_the_columns_there_are(
    engine: bf.Engine,
) -> None:
    with pytest.raises(bf.QueryError, match="number"):
        engine.pause("nummer < 3")


@pytest.mark.parametrize("predicate", ["true; DROP TABLE things.runs", "1=1) OR (1=1", "true --"])
def test_a_predicate_stays_a_predicate(engine: bf.Engine, predicate: str) -> None:
    with contextlib.suppress(bf.QueryError):
        engine.pause(predicate)

    assert sum(states(engine).values()) == 10


def test_an_unknown_run_id_is_an_error_of_its_own(engine: bf.Engine) -> None:
    with pytest.raises(bf.RunNotFoundError):
        engine.get(uuid.uuid4())
