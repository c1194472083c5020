"""Invariants are checked over the runs that each commit moves."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import batchflow as bf

RUNS = 40
WITH_CHARGE = "paid orders have a charge"
CONDITION = "status <> 'PAID' OR charge_id IS NOT NULL"


class Place(enum.Enum):
    NEW = 1
    PAID = 2
    SENT = 3


@dataclass
class Order:
    number: int
    charge_id: str | None = None
    status: str = "its own"


def charge(run: bf.Run[Order, Place]) -> Place:
    if run.object.number % 10:
        run.object.charge_id = f"ch_{run.object.number}"
    return Place.PAID


def charge_all(batch: bf.Batch[Order, Place]) -> Place:
    batch["charge_id"] = [f"ch_{n}" if n % 10 else None for n in batch["number"].tolist()]
    return Place.PAID


def by_rows(workflow: bf.Workflow[Order, Place]) -> None:
    workflow.add_step(Place.NEW, charge, Place.PAID, commit="after")


def by_batches(workflow: bf.Workflow[Order, Place]) -> None:
    workflow.add_step(Place.NEW, charge_all, Place.PAID, batch=True, chunk_rows=7, commit="after")


def by_sql(workflow: bf.Workflow[Order, Place]) -> None:
    charged = "CASE WHEN number % 10 <> 0 THEN 'ch_' || number END"
    workflow.sql_step(Place.NEW, to=[Place.PAID], set={"charge_id": charged}, commit="after")


def orders(*steps: Callable[[bf.Workflow[Order, Place]], None]) -> bf.Workflow[Order, Place]:
    workflow = bf.Workflow("orders", Order, Place)
    for step in steps:
        step(workflow)
    workflow.invariant(WITH_CHARGE, CONDITION)
    workflow.invariant("numbers are not negative", "number >= 0")
    return workflow


def load(engine: bf.Engine) -> None:
    engine.trigger_many(f"SELECT range AS number FROM range({RUNS})", foreign_id="number")


@pytest.mark.parametrize("step", [by_rows, by_batches, by_sql])
def test_runs_that_would_break_an_invariant_are_paused_and_the_others_proceed(
    path: Path, step: Callable[[bf.Workflow[Order, Place]], None]
) -> None:
    with bf.Engine(path, orders(step), workers=0) as engine:
        load(engine)
        report = engine.run(progress=False)
        assert engine.counts().fetchall() == [("NEW", "PAUSED", 4), ("PAID", "COMPLETED", 36)]
        paused = engine.runs("run_state = 'PAUSED'").select("number, reason, charge_id, attempt")
        assert sorted(paused.fetchall()) == [
            (number, f"it would break the invariant {WITH_CHARGE!r}", None, 2)
            for number in range(0, RUNS, 10)
        ]
        [(kind, count, affected, message)] = (
            engine.errors().select("type, count, affected, message").fetchall()
        )
        assert (kind, count, affected) == ("InvariantBroken", 4, 4)
        assert message == f"The run would break the invariant {WITH_CHARGE!r}: {CONDITION}"
        assert (report.newly_paused, report.outcome("advanced"), report.outcome("failed")) == (
            *(4, 36),
            4,
        )
        assert [failure.count for failure in report.failures] == [4]
        assert engine.costs().select("runs, failed").fetchall() == [(RUNS, 4)]
        assert engine.check().ok


def test_the_runs_continue_once_they_are_corrected(path: Path) -> None:
    with bf.Engine(path, orders(by_rows), workers=0) as engine:
        load(engine)
        engine.run(progress=False)
        engine.edit("number = 10", set={"charge_id": "'by hand'"})
        assert engine.retry("run_state = 'PAUSED'").changed == 4
        engine.run(progress=False)
        assert engine.counts().fetchall() == [("NEW", "PAUSED", 3), ("PAID", "COMPLETED", 37)]


def test_a_visit_that_breaks_an_invariant_at_its_end_is_undone_as_a_whole(path: Path) -> None:
    def send(run: bf.Run[Order, Place]) -> Place:
        if run.object.number == 20:
            raise ValueError("no address")
        run.object.charge_id = None
        return Place.SENT

    workflow: bf.Workflow[Order, Place] = bf.Workflow("orders", Order, Place)
    workflow.add_step(Place.NEW, charge, Place.PAID)
    workflow.add_step(Place.PAID, send, Place.SENT, retry=bf.Retry(backoff_seconds=1000))
    workflow.invariant("sent orders are odd", "status <> 'SENT' OR number % 2 = 1")
    workflow.invariant(WITH_CHARGE, CONDITION)
    with bf.Engine(path, workflow, workers=0) as engine:
        load(engine)
        engine.run(progress=False)
        counts = [("NEW", "PAUSED", 20), ("SENT", "COMPLETED", 20)]
        assert engine.counts().fetchall() == counts
        reasons = engine.runs("number = 20").select("reason").fetchall()
        assert reasons == [(f"it would break the invariant {WITH_CHARGE!r}",)]
        assert engine.check().ok


def test_an_operation_that_would_break_an_invariant_is_refused(path: Path) -> None:
    with bf.Engine(path, orders(by_rows), workers=0) as engine:
        load(engine)
        engine.run(progress=False)
        expected = rf"would break the invariant '{WITH_CHARGE}' for 36 runs, .* nothing was changed"
        with pytest.raises(bf.QueryError, match=expected):
            engine.edit("status = 'PAID'", set={"charge_id": "NULL"})
        assert len(engine.runs("charge_id IS NULL AND status = 'PAID'")) == 0
    with bf.connect(path) as store:
        with pytest.raises(bf.QueryError, match="numbers are not negative"):
            store.edit("number = 1", set={"number": "-1"})
        assert store.edit("number = 1", set={"number": "100"}).changed == 1


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("chrge_id IS NOT NULL", "chrge_id"),
        ("number + 1", "its type is BIGINT instead of BOOLEAN"),
        ("number IN (SELECT 1)", "it has a subquery"),
        ("true; DROP TABLE orders.runs", "it is not a single query that reads"),
        ("status = 'PIAD'", "PIAD"),
    ],
)
def test_a_condition_that_is_none_is_refused(path: Path, condition: str, found: str) -> None:
    workflow: bf.Workflow[Order, Place] = bf.Workflow("orders", Order, Place)
    by_rows(workflow)
    workflow.invariant("odd", condition)
    with pytest.raises(bf.DefinitionError, match=found):
        bf.Engine(path, workflow, workers=0)


def test_an_invariant_has_one_name_and_a_text() -> None:
    workflow: Any = bf.Workflow("orders", Order, Place)
    by_rows(workflow)
    workflow.invariant("odd", "number % 2 = 1")
    workflow.invariant("odd", "number % 2 = 1")
    workflow.invariant(7, " ")
    with pytest.raises(bf.DefinitionError) as caught:
        workflow.check()
    assert caught.value.problems == (
        "There are two invariants 'odd'. Rename one.",
        "The invariant 7 has no text as its name and as its condition. Give one.",
    )
    used = orders(by_rows)
    used.check()
    with pytest.raises(bf.DefinitionError, match="already in use"):
        used.invariant("late", "true")
