"""A shard whose engine is killed loses nothing, the others go on, and all end as one store does."""

from __future__ import annotations

import enum
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import batchflow as bf
from batchflow.testing import arm_crash
from kit.forked import Ended, call

RUNS = 300
LOG = """
    SELECT foreign_id, from_status::VARCHAR, to_status::VARCHAR, outcome::VARCHAR, t.version
    FROM orders.transitions AS t JOIN orders.runs USING (seq)"""


class Stage(enum.Enum):
    NEW = 1
    PAID = 2
    DONE = 3
    REFUSED = 4


@dataclass
class Order:
    number: int
    total: int = 0


def pay(run: bf.Run[Order, Stage]) -> Stage:
    run.object.total = run.object.number * 2
    return Stage.REFUSED if run.object.number % 5 == 0 else Stage.PAID


def orders() -> bf.Workflow[Order, Stage]:
    workflow = bf.Workflow("orders", Order, Stage)
    workflow.add_step(Stage.NEW, pay, Stage.PAID, Stage.REFUSED)
    workflow.sql_step(Stage.PAID, to=Stage.DONE)
    return workflow


def source() -> str:
    return f"SELECT range AS number FROM range({RUNS})"


def run(store: Path, shard: str | None, kill_at: int | None) -> None:
    with bf.Engine(store, orders(), workers=0, shard=shard) as engine:
        engine.trigger_many(source(), foreign_id="number", once=True)
        if kill_at is not None:
            arm_crash("within_commit", nth=kill_at)
        engine.run(progress=False)


def ended(store: Path, shard: str | None = None, kill_at: int | None = None) -> Ended:
    return call(run, store, shard, kill_at)


def test_all_shards_end_as_one_store_although_one_engine_was_killed(tmp_path: Path) -> None:
    pattern, alone = tmp_path / "night-{shard}.duckdb", tmp_path / "alone.duckdb"
    assert ended(pattern, "1/2", kill_at=2).code == -signal.SIGKILL
    assert ended(pattern, "2/2") == ended(alone) == Ended(0, "")

    stores, one = bf.Stores(pattern), bf.connect(alone)
    left: dict[Any, int] = {row[0]: row[2] for row in stores.counts().fetchall()}
    # Its row step was committed, and its SQL step wasn't. The other shard is done.
    assert sum(left.values()) == RUNS
    assert 0 < left["PAID"] < RUNS / 2 < left["PAID"] + left["DONE"]

    assert ended(pattern, "1/2") == Ended(0, "")
    assert stores.counts().fetchall() == one.counts().fetchall()
    expected = sorted(one.sql(LOG).fetchall())
    assert sorted(stores.sql(each=LOG).fetchall()) == expected
    totals = "SELECT foreign_id, total, version FROM orders.runs"
    assert sorted(stores.sql(each=totals).fetchall()) == sorted(one.sql(totals).fetchall())
    assert stores.check().problems == ()
