"""A shard whose engine is killed loses nothing, the others go on, and all end as one store does."""

from __future__ import annotations

import enum
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import batchflow as bf

RUNS = 300
ENGINE = """
import sys
sys.path.insert(0, sys.argv[1])
from test_killed_shard import orders, source

import batchflow as bf
from batchflow.testing import arm_crash

with bf.Engine(sys.argv[2], orders(), workers=0, shard=sys.argv[3] or None) as engine:
    engine.trigger_many(source(), foreign_id="number", once=True)
    if sys.argv[4]:
        arm_crash("within_commit", nth=int(sys.argv[4]))
    engine.run(progress=False)
"""
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


def started(store: Path, shard: str = "", kill_at: str = "") -> subprocess.Popen[bytes]:
    folder = str(Path(__file__).parent)
    return subprocess.Popen([sys.executable, "-c", ENGINE, folder, str(store), shard, kill_at])


def test_all_shards_end_as_one_store_although_one_engine_was_killed(tmp_path: Path) -> None:
    pattern, alone = tmp_path / "night-{shard}.duckdb", tmp_path / "alone.duckdb"
    first = started(pattern, "1/2", kill_at="2")
    others = [started(pattern, "2/2"), started(alone)]
    assert first.wait(60) == -signal.SIGKILL
    assert [other.wait(60) for other in others] == [0, 0]

    stores, one = bf.Stores(pattern), bf.connect(alone)
    left: dict[Any, int] = {row[0]: row[2] for row in stores.counts().fetchall()}
    # Its row step was committed, and its SQL step wasn't. The other shard is done.
    assert sum(left.values()) == RUNS
    assert 0 < left["PAID"] < RUNS / 2 < left["PAID"] + left["DONE"]

    assert started(pattern, "1/2").wait(60) == 0
    assert stores.counts().fetchall() == one.counts().fetchall()
    expected = sorted(one.sql(LOG).fetchall())
    assert sorted(stores.sql(each=LOG).fetchall()) == expected
    totals = "SELECT foreign_id, total, version FROM orders.runs"
    assert sorted(stores.sql(each=totals).fetchall()) == sorted(one.sql(totals).fetchall())
    assert stores.check().problems == ()
