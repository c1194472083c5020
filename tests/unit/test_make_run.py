"""A step function is tested by itself, with a run that is made for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pandas as pd
import pytest

import batchflow as bf
from batchflow.errors import InvalidObject, InvalidOutcome
from batchflow.testing import call_step, make_batch, make_run
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


@pytest.mark.parametrize("make", [make_run, lambda thing, **facts: make_batch([thing], **facts)])
def test_a_misspelled_fact_is_refused_with_the_nearest_one(make: Any) -> None:
    with pytest.raises(TypeError, match=r"no 'stauts'\. Did you mean 'status'"):
        make(Thing(1), stauts=Stage.NEW)
    with pytest.raises(TypeError, match=r"no 'xyz'\. Give any of status, run_id, attempt"):
        make(Thing(1), xyz=1)


NOW = datetime(2024, 5, 7, tzinfo=UTC)
RUN_ID = UUID("00000000-0000-8000-8000-000000000007")


def workflow_of(step: Any, *, batch: bool = False) -> bf.Workflow[Thing, Stage]:
    workflow = bf.Workflow("things", Thing, Stage)
    workflow.add_step(Stage.NEW, step, Stage.DONE, batch=batch)
    return workflow


def test_a_run_may_have_an_id_and_the_time_of_a_clock() -> None:
    run = make_run(Thing(1), run_id=str(RUN_ID), now=NOW)
    assert (run.run_id, run.now) == (RUN_ID, NOW)


def test_a_batch_has_the_columns_and_facts_that_it_is_made_with() -> None:
    batch = make_batch([Thing(1), Thing(2)], run_id=RUN_ID, now=NOW, attempt=3, stopping=True)
    assert batch["number"].tolist() == [1, 2]
    assert batch.run_id.tolist() == [RUN_ID, UUID(int=RUN_ID.int + 1)]
    assert batch.foreign_id.tolist() == ["test-0", "test-1"]
    assert (batch.now, batch.attempt.tolist(), batch.stopping) == (NOW, [3, 3], True)


def test_a_step_is_called_for_a_run_at_the_starting_point() -> None:
    def step(run: Any) -> Stage:
        run.object.number += 1
        return Stage.DONE

    thing, workflow = Thing(1), workflow_of(step)
    assert call_step(workflow, make_run(thing, workflow=workflow)) is Stage.DONE
    assert thing == Thing(2)


def test_an_answer_or_a_value_that_an_engine_would_refuse_is_refused() -> None:
    def step(run: Any) -> Any:
        run.object.number = "one" if run.foreign_id == "text" else 1
        return Stage.NEW if run.foreign_id == "undeclared" else Stage.DONE

    workflow = workflow_of(step)
    with pytest.raises(InvalidOutcome, match="NEW, which isn't declared"):
        call_step(workflow, make_run(Thing(1), workflow=workflow, foreign_id="undeclared"))
    with pytest.raises(InvalidObject, match="a str in field 'number'; it takes int"):
        call_step(workflow, make_run(Thing(1), workflow=workflow, foreign_id="text"))


def test_a_made_run_fits_its_workflow() -> None:
    workflow = workflow_of(lambda run: Stage.DONE)
    with pytest.raises(InvalidObject, match="a str in field 'number'; it takes int"):
        make_run(Thing("one"), workflow=workflow)  # type: ignore[arg-type]
    with pytest.raises(InvalidObject, match="carries objects of Thing"):
        make_run(Stage.NEW, workflow=workflow)  # type: ignore[misc]
    with pytest.raises(ValueError, match="No step takes the runs at DONE"):
        make_run(Thing(1), workflow=workflow, status=Stage.DONE)


def test_a_batch_step_is_called_and_checked() -> None:
    def step(batch: Any) -> Any:
        batch.skip(batch["number"] == 1)
        batch["number"] = batch["number"] * (0.25 if 7 in batch["number"] else 2)
        return Stage.DONE

    workflow = workflow_of(step, batch=True)
    batch = make_batch([Thing(1), Thing(2)], workflow=workflow)
    assert call_step(workflow, batch).tolist() == [bf.Outcome.SKIPPED, Stage.DONE]
    assert batch["number"].tolist() == [2, 4]
    with pytest.raises(InvalidObject, match="Run 0 has a float64 that int64 can't hold"):
        call_step(workflow, make_batch([Thing(7)], workflow=workflow))


@dataclass
class Tagged:
    number: int
    tags: list[str]


@dataclass(frozen=True)
class Fixed:
    number: int


def call_once(step: Any, made: Any, *, batch: bool = False, **options: Any) -> Any:
    workflow = bf.Workflow("things", type(made), Stage)
    workflow.add_step(Stage.NEW, step, Stage.DONE, batch=batch, **options)
    facts: Any = {"workflow": workflow}
    return call_step(workflow, make_batch([made], **facts) if batch else make_run(made, **facts))


def test_an_attribute_that_is_no_field_is_refused_as_by_an_engine() -> None:
    def step(run: Any) -> Stage:
        run.object.numbr = 1
        return Stage.DONE

    with pytest.raises(AttributeError, match=r"Thing has no field 'numbr'.*Did you mean 'number'"):
        call_once(step, Thing(1))


def test_changes_within_the_object_and_other_objects_are_visible() -> None:
    def append(run: Any) -> Stage:
        run.object.tags.append("b")
        return Stage.DONE

    def replace(run: Any) -> Stage:
        run.object = Fixed(run.object.number + 1)
        return Stage.DONE

    tagged = Tagged(1, ["a"])
    assert call_once(append, tagged) is Stage.DONE
    assert tagged == Tagged(1, ["a", "b"])
    workflow = bf.Workflow("things", Fixed, Stage)
    workflow.add_step(Stage.NEW, replace, Stage.DONE)
    run = make_run(Fixed(1), workflow=workflow)
    assert (call_step(workflow, run), run.object) == (Stage.DONE, Fixed(2))


def test_an_async_step_is_awaited() -> None:
    async def step(run: Any) -> Stage:
        run.object.number += 1
        return Stage.DONE

    thing = Thing(1)
    assert call_once(step, thing) is Stage.DONE
    assert thing == Thing(2)


@pytest.mark.parametrize("batch", [True, False])
def test_a_step_sees_only_the_columns_that_it_reads(batch: bool) -> None:
    def step(made: Any) -> Stage:
        return Stage.DONE if made["tags"] is made else Stage.NEW

    def row_step(run: Any) -> Stage:
        return Stage.DONE if run.object.tags else Stage.NEW

    with pytest.raises(LookupError, match=r"tags'.*columns"):
        call_once(step if batch else row_step, Tagged(1, []), batch=batch, columns=["number"])


def test_a_missing_resource_is_named_as_by_an_engine() -> None:
    with pytest.raises(KeyError, match="The workflow has no resource 'db'; it has 'dc'"):
        make_run(Thing(1), resources={"dc": 1}).resources["db"]


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (Thing(1), "make_batch takes a list of objects, not a Thing."),
        ([Thing(1), 5], "Object 1 is an int. Give only objects of Thing."),
        (pd.DataFrame({"number": [1]}), "make_batch takes a list of objects, not a DataFrame."),
    ],
)
def test_a_batch_is_made_of_objects(objects: Any, message: str) -> None:
    with pytest.raises((TypeError, InvalidObject)) as raised:
        make_batch(objects)
    assert str(raised.value) == message


def test_a_step_is_called_with_what_it_takes() -> None:
    assert repr(make_batch([Thing(1)])) == "<Batch of 1 run at None: number>"
    rows, batches = workflow_of(lambda run: Stage.DONE), workflow_of(lambda run: None, batch=True)
    with pytest.raises(TypeError, match=r"takes batches\. Make one with make_batch"):
        call_step(batches, make_run(Thing(1), workflow=batches))
    with pytest.raises(TypeError, match=r"takes single runs\. Make one with make_run"):
        call_step(rows, make_batch([Thing(1)], workflow=rows))
    with pytest.raises(TypeError, match="takes the workflow of the step, not a function"):
        call_step(workflow_of, make_run(Thing(1)))  # type: ignore[call-overload]
