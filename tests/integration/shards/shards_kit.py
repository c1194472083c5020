"""A set of shards with one workflow, whose steps fail for some orders."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import batchflow as bf
from batchflow.testing import FakeClock

SHARDS = 2


class Stage(enum.Enum):
    NEW = 1
    PAID = 2
    DONE = 3


@dataclass
class Order:
    number: int
    total: float = 1.0


def pay(run: bf.Run[Order, Stage]) -> Stage:
    if run.object.number % 7 == 0:
        raise ValueError(f"order {run.object.number} can't be paid")
    return Stage.PAID


def orders() -> bf.Workflow[Order, Stage]:
    workflow = bf.Workflow("orders", Order, Stage, retry=bf.Retry(pause_after=1))
    workflow.add_step(Stage.NEW, pay, Stage.PAID)
    workflow.sql_step(Stage.PAID, to=Stage.DONE)
    return workflow


def pattern_in(folder: Path) -> Path:
    return folder / "night-{shard}.duckdb"


def engine_of(folder: Path, shard: int, shards: int = SHARDS, **options: Any) -> bf.Engine:
    path = pattern_in(folder)
    return bf.Engine(path, orders(), workers=0, shard=f"{shard}/{shards}", **options)


def in_each(folder: Path, action: Callable[[bf.Engine], Any], shards: int = SHARDS) -> list[Any]:
    """Return what an action returns for the engine of each shard, one after the other."""
    results = []
    for shard in range(1, shards + 1):
        with engine_of(folder, shard, shards) as engine:
            results.append(action(engine))
    return results


def write_source(folder: Path) -> Path:
    """Write 120 orders, of which each seventh can't be paid, and three rows that don't fit."""
    rows = "".join(f"{number},{number / 2}\n" for number in range(120))
    path = folder / "orders.csv"
    path.write_text(f"number,total\n{rows}900,much\n901,much\n,1\n")
    return path


def play_a_night(engine: bf.Engine, clock: FakeClock, source: Path) -> None:
    """Load and run orders, and change some by each operation, at different times."""
    engine.trigger_many(source, foreign_id="number", on_invalid="skip")
    clock.advance(3.3)
    engine.pause("number = 3", reason="prices are wrong")
    clock.advance(2)
    engine.resume("number = 3")
    engine.run(progress=False, limit=50)
    clock.advance(100)
    engine.cancel("number = 119")
    engine.run(progress=False)
    clock.advance(77)
    engine.retry("run_state = 'PAUSED' AND number < 60")
    engine.run(progress=False)
    engine.edit("number = 12", set={"total": "total + 1"})
    clock.advance(3_600)
    engine.prune(timedelta(minutes=10), "number IN (20, 22)")
