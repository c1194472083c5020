"""A workflow that other processes look at, and what they ask."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

import batchflow as bf


class Stage(enum.Enum):
    NEW = "new"
    DOUBLED = "doubled"
    DONE = "done"


@dataclass
class Thing:
    number: int
    doubled: int = 0


def things() -> bf.Workflow[Thing, Stage]:
    workflow = bf.Workflow("things", Thing, Stage)
    workflow.add_step(Stage.NEW, double, Stage.DOUBLED)
    workflow.add_step(Stage.DOUBLED, finish, Stage.DONE)
    return workflow


def double(run: bf.Run[Thing, Stage]) -> Stage:
    run.object.doubled = run.object.number * 2
    return Stage.DOUBLED


def finish(run: bf.Run[Thing, Stage]) -> Stage:
    return Stage.DONE


def picky_things() -> bf.Workflow[Thing, Stage]:
    """One run in a thousand fails at the second step, and is paused there."""
    workflow = bf.Workflow("things", Thing, Stage, retry=bf.Retry(pause_after=1))
    workflow.add_step(Stage.NEW, double, Stage.DOUBLED)
    workflow.add_step(Stage.DOUBLED, finish_most, Stage.DONE)
    return workflow


def finish_most(run: bf.Run[Thing, Stage]) -> Stage:
    if run.object.number % 1000 == 7:
        raise ValueError(f"{run.object.number} isn't liked")
    return Stage.DONE


def load(engine: bf.Engine | bf.StoreClient, runs: int, first: int = 0) -> None:
    engine.trigger_many(
        f"SELECT range AS number, 0 AS doubled FROM range({first}, {first + runs})",
        foreign_id="number",
    )


def files_of(store: Path) -> set[str]:
    return {path.name.removeprefix(store.name) for path in store.parent.iterdir()}
