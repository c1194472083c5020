"""The workflow that the driver runs: every kind of step, with faults around them.

The end of a run depends on its number alone. Each step adds to the fields, so a step that is
applied twice, or not at all, is noticed.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from crash_faults import Aim, with_faults

import batchflow as bf

PAUSE_AFTER = 3
# Far more than a call takes, even on a busy machine.
TIMEOUT_SECONDS = 1.0
CHUNK_ROWS = 32
LOOKS = 3
VISITS = 2


class Stage(enum.Enum):
    NEW = "new"
    EVEN = "even"
    ODD = "odd"
    REJECTED = "rejected"
    LABELLED = "labelled"
    PRICED = "priced"
    CHECKED = "checked"
    DONE = "done"


@dataclass
class Thing:
    number: int
    looks: int = 0
    visits: int = 0
    total: int = 0
    label: str = ""
    tags: list[str] | None = None


def sort(pace_seconds: float, run: bf.Run[Thing, Stage]) -> Any:
    time.sleep(pace_seconds)
    thing = run.object
    thing.looks += 1
    thing.total += thing.number
    if thing.number % 5 == 0 and thing.looks < LOOKS:
        return run.repeat()
    return Stage.ODD if thing.number % 2 else Stage.EVEN


async def look_up(pace_seconds: float, run: bf.Run[Thing, Stage]) -> Stage:
    await asyncio.sleep(pace_seconds)
    run.object.label += f"even {run.object.number}"
    return Stage.LABELLED


def triple(pace_seconds: float, batch: bf.Batch[Thing, Stage]) -> Any:
    time.sleep(pace_seconds * len(batch))
    batch["total"] = batch["total"] + 3 * batch["number"]
    batch["label"] = [f"{label}odd {number}" for label, number in labelled(batch)]
    return np.where(batch["number"] % 9 == 0, Stage.REJECTED, Stage.LABELLED)


def tag(pace_seconds: float, batch: bf.Batch[Thing, Stage]) -> Stage:
    time.sleep(pace_seconds * len(batch))
    batch["visits"] = batch["visits"] + 1
    tagged = zip(batch["tags"], batch["label"], strict=True)
    batch["tags"] = [[*(tags or ()), label] for tags, label in tagged]
    batch.repeat((batch["number"] % 7 == 0) & (batch["visits"] < VISITS))
    return Stage.PRICED


def labelled(batch: bf.Batch[Thing, Stage]) -> Iterator[tuple[str, int]]:
    return zip(batch["label"], batch["number"].tolist(), strict=True)


STEPS: dict[str, tuple[Callable[..., Any], Stage, tuple[Stage, ...]]] = {
    "sort": (sort, Stage.NEW, (Stage.EVEN, Stage.ODD)),
    "look_up": (look_up, Stage.EVEN, (Stage.LABELLED,)),
    "triple": (triple, Stage.ODD, (Stage.LABELLED, Stage.REJECTED)),
    "tag": (tag, Stage.LABELLED, (Stage.PRICED,)),
}
IN_BATCHES = ("triple", "tag")


def build(aims: Sequence[Aim] = (), pace_seconds: float = 0.0) -> bf.Workflow[Thing, Stage]:
    """Return the workflow; a step takes `pace_seconds` for each run."""
    workflow = bf.Workflow(
        "things",
        Thing,
        Stage,
        chunk_rows=CHUNK_ROWS,
        timeout_seconds=TIMEOUT_SECONDS,
        retry=bf.Retry(backoff_seconds=0.02, multiplier=1.0, pause_after=PAUSE_AFTER),
    )
    for name, (function, from_status, to) in STEPS.items():
        step = with_faults(partial(function, pace_seconds), name, aims)
        workflow.add_step(from_status, step, *to, batch=name in IN_BATCHES)
    workflow.sql_step(
        Stage.PRICED,
        to=[Stage.CHECKED, Stage.DONE],
        set={"total": f"total + CASE WHEN {_refused(aims)} THEN CAST(label AS INTEGER) ELSE 1 END"},
        status="CASE WHEN number % 4 = 0 THEN 'CHECKED' ELSE 'DONE' END",
    )
    workflow.sql_step(Stage.CHECKED, to=Stage.DONE, set={"label": "label || '!'"})
    return workflow


def _refused(aims: Sequence[Aim]) -> str:
    """Return the condition that a run can't be priced, as its label isn't a number."""
    conditions = [
        f"number = {aim.number}" + (" AND attempt = 1" if aim.passing else "")
        for aim in aims
        if aim.step == "price"
    ]
    return " OR ".join(f"({condition})" for condition in conditions) or "false"
