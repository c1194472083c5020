"""A workflow whose runs name the sabotage that their step commits; workers import it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import batchflow as bf
from batchflow.testing import Sabotage, sabotages, with_fault


class Stage(enum.Enum):
    FIRST = "first"
    SECOND = "second"
    DONE = "done"


@dataclass
class Job:
    how: str
    place: int = 0


def finish_first(run: bf.Run[Job, Stage]) -> Stage:
    return Stage.SECOND


async def finish_second(run: bf.Run[Job, Stage]) -> Stage:
    return Stage.DONE


def finish_batch(batch: bf.Batch[Job, Stage]) -> Stage:
    return Stage.SECOND


def commits(how: Sabotage, given: Any) -> Any:
    if isinstance(given, bf.Batch):
        return np.asarray(given["how"]) == how.name
    return given.object.how == how.name


def sabotaged(step: Callable[..., Any], *hows: Sabotage) -> Callable[..., Any]:
    for how in hows:
        step = with_fault(step, sabotages(how), when=partial(commits, how))
    return step


def jobs(**options: Any) -> bf.Workflow[Job, Stage]:
    """Return a workflow whose first step, with these options, is sabotaged; the second is async."""
    workflow = bf.Workflow("jobs", Job, Stage, retry=bf.Retry(pause_after=1))
    first = finish_batch if options.get("batch") else finish_first
    others = [how for how in Sabotage if how is not Sabotage.STOPS_EVENT_LOOP]
    workflow.add_step(Stage.FIRST, sabotaged(first, *others), Stage.SECOND, **options)
    second = sabotaged(finish_second, Sabotage.STOPS_EVENT_LOOP)
    workflow.add_step(Stage.SECOND, second, Stage.DONE, concurrency=4)
    return workflow
