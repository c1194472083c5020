"""Steps for the tests of faults; apart from them, as each worker that is replaced imports it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import batchflow as bf

RUNS = 16
STRUCK = 7


class Stage(enum.Enum):
    NEW = "new"
    DONE = "done"


@dataclass
class Thing:
    number: int = 0


def row_step(run: bf.Run[Thing, Stage]) -> Stage:
    return Stage.DONE


async def async_step(run: bf.Run[Thing, Stage]) -> Stage:
    return Stage.DONE


def batch_step(batch: bf.Batch[Thing, Stage]) -> Stage:
    return Stage.DONE


def is_struck(given: Any) -> Any:
    if isinstance(given, bf.Batch):
        return given["number"] == STRUCK
    return given.object.number == STRUCK
