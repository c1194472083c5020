"""The reasons of pauses, resumptions, cancellations and edits in the log of transitions."""

from __future__ import annotations

from typing import Any

import pytest

import batchflow as bf
from batchflow.testing import inline_engine
from kit.things import Stage, Thing, things


def act(run: bf.Run[Thing, Stage]) -> Any:
    match run.object.number:
        case 0:
            return run.pause("prices are wrong")
        case 1:
            return run.cancel("no longer wanted")
        case 2:
            raise ValueError("always")
        case _:
            return Stage.DONE


def log_of(engine: bf.Engine, number: int) -> list[tuple[str, str | None]]:
    """Return the outcomes and reasons of a run's transitions, which two ways of asking share."""
    [(run_id,)] = engine.runs(f"number = {number}").select("run_id").fetchall()
    log = engine.history(run_id).select("outcome, reason").fetchall()
    query = "SELECT outcome, reason FROM things.transitions WHERE run_id = ? ORDER BY version"
    assert engine.sql(query, [run_id]).fetchall() == log
    return log


@pytest.fixture(scope="module")
def acted() -> Any:
    retry = bf.Retry(backoff_seconds=0, pause_after=2)
    with inline_engine(things(act, retry=retry)) as engine:
        engine.trigger_many([Thing(number) for number in range(6)], foreign_id="number")
        engine.run(wait_for_retries=True)
        yield engine


def test_the_log_has_the_reason_that_a_step_gave(acted: bf.Engine) -> None:
    assert log_of(acted, 0) == [("paused", "prices are wrong")]
    assert log_of(acted, 1) == [("cancelled", "no longer wanted")]


def test_the_log_has_the_reason_of_a_pause_after_failures(acted: bf.Engine) -> None:
    expected = "failed 2 times in a row, last with ValueError"
    assert log_of(acted, 2) == [("failed", None), ("failed", expected)]


def test_a_transition_without_a_reason_has_none(acted: bf.Engine) -> None:
    assert log_of(acted, 3) == [("advanced", None)]


def test_the_reason_of_each_operation_stays_in_the_log_after_the_next_one() -> None:
    with inline_engine(things()) as engine:
        engine.trigger_many([Thing(1)], foreign_id="number")
        engine.pause("true", reason="wrong")
        engine.edit("true", set={"number": "number"}, reason="corrected")
        engine.resume("true", reason="checked by Ana")
        engine.pause("true", reason="wrong again")
        engine.cancel("true", reason="given up")
        assert log_of(engine, 1) == [
            ("paused", "wrong"),
            ("edited", "corrected"),
            ("resumed", "checked by Ana"),
            ("paused", "wrong again"),
            ("cancelled", "given up"),
        ]


def test_two_workflows_of_a_store_have_logs_of_their_own() -> None:
    first, second = things(name="first"), things(name="second")
    with inline_engine(first, second) as engine:
        engine.trigger("a", Thing(), workflow="first")
        engine.pause("true", reason="wrong", workflow="first")
        assert engine.sql("SELECT reason FROM first.transitions").fetchall() == [("wrong",)]
        assert engine.sql("SELECT reason FROM second.transitions").fetchall() == []
