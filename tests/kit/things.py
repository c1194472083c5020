"""The smallest workflow: things that one step moves from NEW to DONE.

Workers import this module with the steps, so it imports nothing but batchflow.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import batchflow as bf

if TYPE_CHECKING:
    from batchflow.operation import Operations


class Stage(enum.Enum):
    NEW = "new"
    DONE = "done"


@dataclass
class Thing:
    number: int = 0


def finish(run: bf.Run[Thing, Stage]) -> Stage:
    return Stage.DONE


async def finish_async(run: bf.Run[Thing, Stage]) -> Stage:
    return Stage.DONE


def finish_batch(batch: bf.Batch[Thing, Stage]) -> Stage:
    return Stage.DONE


def things(
    step: Callable[..., Any] = finish,
    *,
    name: str = "things",
    retry: bf.Retry | None = None,
    resources: dict[str, Any] | None = None,
    **options: Any,
) -> bf.Workflow[Thing, Stage]:
    """Return a workflow whose one step, with these options, moves a thing from NEW to DONE.

    `retry` is the workflow's.
    """
    kept = {} if retry is None else {"retry": retry}
    workflow = bf.Workflow(name, Thing, Stage, resources=resources, **kept)
    workflow.add_step(Stage.NEW, step, Stage.DONE, **options)
    return workflow


def numbers(count: int, first: int = 0) -> str:
    """Return a query for things with consecutive numbers, to be loaded."""
    return f"SELECT range AS number FROM range({first}, {first + count})"


def load(engine: Operations, count: int, first: int = 0) -> None:
    """Trigger runs of things with consecutive numbers, which are also their foreign ids."""
    engine.trigger_many(numbers(count, first), foreign_id="number")
