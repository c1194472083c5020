"""A step function is tested by itself, with a run that is made for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from batchflow.testing import make_run
from kit.things import Stage


@dataclass
class Thing:
    number: int


def test_a_step_changes_the_object_and_answers() -> None:
    def step(run: Any) -> Stage:
        run.object.number += run.resources["more"]
        return Stage.DONE

    thing = Thing(1)
    assert step(make_run(thing, resources={"more": 2})) is Stage.DONE
    assert thing == Thing(3)


def test_a_run_has_the_values_that_it_is_made_with() -> None:
    moment = datetime(2024, 5, 6, tzinfo=UTC)
    run = make_run(
        Thing(1), status=Stage.NEW, foreign_id="a", attempt=3, created_at=moment, stopping=True
    )
    facts = (run.status, run.foreign_id, run.attempt, run.created_at, run.stopping)
    assert facts == (Stage.NEW, "a", 3, moment, True)
    assert repr(run) == f"<Run {run.run_id} ('a') at NEW>"


def test_a_run_without_a_status_can_be_printed() -> None:
    assert repr(make_run(Thing(1))).endswith("('test') at None>")


@pytest.mark.parametrize("way", ["pause", "cancel"])
def test_answers_can_be_compared(way: str) -> None:
    run = make_run(Thing(1))
    assert getattr(run, way)("late") == getattr(make_run(Thing(2)), way)("late")
    assert run.skip() != run.repeat()
