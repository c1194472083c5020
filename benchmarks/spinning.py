"""A workflow whose step takes a known time of CPU for each run; workers import this module."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import partial

import batchflow as bf

# Turns of a loop in a microsecond of a usual core.
_TURNS = 30


class Stage(enum.Enum):
    """The statuses of an order."""

    NEW = "new"
    DONE = "done"


@dataclass
class Order:
    """One field, which the step writes."""

    number: int
    total: int = 0


def spin(turns: int, run: bf.Run[Order, Stage]) -> Stage:
    """Compute something for so many turns."""
    total = 0
    for turn in range(turns):
        total ^= turn
    run.object.total = total
    return Stage.DONE


def spinning_orders(microseconds: int) -> bf.Workflow[Order, Stage]:
    """Return a workflow of one row step that takes about so long for each run."""
    workflow = bf.Workflow("orders", Order, Stage)
    step = partial(spin, microseconds * _TURNS)
    workflow.add_step(Stage.NEW, step, Stage.DONE)
    return workflow
