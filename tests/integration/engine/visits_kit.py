"""A workflow of three steps, which may share a visit; workers import it, without pytest."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import batchflow as bf


class Stage(enum.Enum):
    FIRST = 1
    SECOND = 2
    THIRD = 3
    DONE = 4


@dataclass
class Parcel:
    number: int
    trail: str = ""


STAGES = list(Stage)


def walk(run: bf.Run[Parcel, Stage]) -> Stage:
    run.object.trail += run.status.name[0]
    return STAGES[run.status.value]


def walk_all(batch: bf.Batch[Parcel, Stage]) -> Stage:
    batch["trail"] = batch["trail"] + batch.status.name[0]
    return STAGES[batch.status.value]


def named(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
    def called(given: Any) -> Any:
        return step(given)

    called.__name__ = name
    return called


def parcels(
    first: Callable[..., Any] = walk,
    second: Callable[..., Any] = walk,
    third: Callable[..., Any] = walk,
    *,
    visits: bool = True,
    options: dict[str, dict[str, Any]] | None = None,
    **shared: Any,
) -> bf.Workflow[Parcel, Stage]:
    """Return a workflow of three steps, each with `shared` options and with its own."""
    workflow = bf.Workflow("parcels", Parcel, Stage, visits=visits)
    for place, (name, step) in enumerate(
        {"first": first, "second": second, "third": third}.items()
    ):
        own = {**shared, **(options or {}).get(name, {})}
        workflow.add_step(STAGES[place], named(name, step), STAGES[place + 1], **own)
    return workflow
