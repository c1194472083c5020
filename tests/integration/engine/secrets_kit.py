"""People with a secret, and steps that fail in ways that could show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import batchflow as bf
from kit.things import Stage

SECRET = "hunter2-of-john@example.org"
LOCATION = "s3://john:hunter2@bucket/a.csv?sig=hunter2&part=1"
"""A URL with a password and a signature."""


@dataclass
class Person:
    email: str
    age: int = 1
    note: str | None = None


class OwnError(Exception):
    """An exception of the user's, raised by a step."""


def leaves_a_text_for_a_number(run: bf.Run[Person, Stage]) -> Stage:
    run.object.age = run.object.email  # type: ignore[assignment]
    return Stage.DONE


def leaves_another_object(run: bf.Run[Person, Stage]) -> Stage:
    run.object = run.object.email  # type: ignore[assignment]
    return Stage.DONE


def answers_with_a_value(run: bf.Run[Person, Stage]) -> Stage:
    return run.object.email  # type: ignore[return-value]


def answers_with_an_object(run: bf.Run[Person, Stage]) -> Stage:
    return run.object  # type: ignore[return-value]


def raises_its_own(run: bf.Run[Person, Stage]) -> Stage:
    raise OwnError(f"no card of {run.object.email}")


def raises_a_key_error(run: bf.Run[Person, Stage]) -> Stage:
    return {}[run.object.email]  # type: ignore[no-any-return]


def pauses_with_an_object(run: bf.Run[Person, Stage]) -> Any:
    return run.pause(run.object)  # type: ignore[arg-type]


def leaves_texts_for_numbers(batch: bf.Batch[Person, Stage]) -> Any:
    batch["age"] = batch["email"]
    return [Stage.DONE] * len(batch)


def answers_with_values(batch: bf.Batch[Person, Stage]) -> Any:
    return batch["email"]


def answers_with_too_many(batch: bf.Batch[Person, Stage]) -> Any:
    return [*batch["email"], SECRET]


def masks_with_values(batch: bf.Batch[Person, Stage]) -> Any:
    batch.skip(batch["email"])
    return [Stage.DONE] * len(batch)


def names_a_location(run: bf.Run[Person, Stage]) -> Stage:
    error = OSError(f"{LOCATION} can't be reached")
    error.add_note(f"It was {LOCATION}.")
    raise error from ValueError(LOCATION)


def pauses_for_a_location(run: bf.Run[Person, Stage]) -> Any:
    return run.pause(f"{LOCATION} can't be reached")


ROW_STEPS: list[Callable[..., Any]] = [
    leaves_a_text_for_a_number,
    leaves_another_object,
    answers_with_a_value,
    answers_with_an_object,
    pauses_with_an_object,
]
BATCH_STEPS: list[Callable[..., Any]] = [
    leaves_texts_for_numbers,
    answers_with_values,
    answers_with_too_many,
    masks_with_values,
]
OWN_ERRORS: list[Callable[..., Any]] = [raises_its_own, raises_a_key_error]


def people(
    step: Callable[..., Any] | None = None, name: str = "people", **sql: Any
) -> bf.Workflow[Any, Any]:
    """Return a workflow of this step, or of a SQL step with these options."""
    workflow: bf.Workflow[Any, Any] = bf.Workflow(name, Person, Stage)
    if step in BATCH_STEPS:
        workflow.batch_step(Stage.NEW, to=Stage.DONE)(step)
    elif step is not None:
        workflow.step(Stage.NEW, to=Stage.DONE)(step)
    else:
        workflow.sql_step(Stage.NEW, to=[Stage.DONE], **{"set": {}, "status": "DONE"} | sql)
    return workflow
