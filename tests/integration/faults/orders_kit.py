"""Orders that pass a row step, a batch step and a SQL step, and what becomes of them."""

from __future__ import annotations

import enum
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import batchflow as bf

if TYPE_CHECKING:
    # Workers import this module, and need no store.
    from kit.open_store import OpenStore


class Stage(enum.Enum):
    NEW = 1
    PRICED = 2
    LABELLED = 3
    SENT = 4
    REFUSED = 5


@dataclass
class Order:
    number: int
    total: int = 0
    label: str | None = None


def orders(**options: Any) -> bf.Workflow[Order, Stage]:
    """NEW → PRICED or REFUSED by rows, PRICED → LABELLED by batches, LABELLED → SENT by SQL."""
    workflow = bf.Workflow("orders", Order, Stage, **options)
    workflow.add_step(Stage.NEW, price, Stage.PRICED, Stage.REFUSED)
    workflow.batch_step(Stage.PRICED, to=Stage.LABELLED)(label)
    workflow.sql_step(Stage.LABELLED, to=[Stage.SENT], set={"label": "label || '!'"}, status="SENT")
    return workflow


def price(run: bf.Run[Order, Stage]) -> Stage:
    if run.object.number % 5 == 0:
        return Stage.REFUSED
    # Added, so that a transition that happens twice is seen.
    run.object.total += run.object.number * 3
    return Stage.PRICED


def label(batch: bf.Batch[Order, Stage]) -> Stage:
    # Long, and never twice the same, so that it takes room.
    batch["label"] = [f"{total:>032b}{total * 7919:>060d}" for total in batch["total"]]
    return Stage.LABELLED


def load(engine: bf.Engine | OpenStore, rows: int) -> int:
    query = f"SELECT range AS number FROM range({rows})"
    return engine.trigger_many(query, foreign_id="number", at=Stage.NEW).loaded


def outcome(engine: bf.Engine | OpenStore) -> tuple[list[Any], list[Any]]:
    """Answer all runs, and all transitions in the order of their versions."""
    runs = engine.runs().select(
        "seq, foreign_id, status, run_state, version, attempt, number, total, label"
    )
    log = engine.sql(
        "SELECT seq, version, from_status, to_status, outcome, attempt FROM orders.transitions"
    )
    return (runs.order("seq").fetchall(), log.order("seq, version").fetchall())


@functools.cache
def undisturbed(rows: int) -> tuple[list[Any], list[Any]]:
    """Answer what becomes of the same orders where nothing goes wrong."""
    with bf.Engine(":memory:", orders(), workers=0) as engine:
        load(engine, rows)
        engine.run()
        return outcome(engine)


def is_clean(folder: Path, name: str = "orders.duckdb") -> bool:
    """Tell whether a closed store left nothing but itself."""
    return {each.name for each in folder.iterdir()} <= {name, "ballast"}
