"""Workflows, statuses, fields and foreign ids may have any name."""

from __future__ import annotations

import enum
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any

import pytest

import batchflow as bf
from batchflow.testing import inline_engine

LONG = "l" * 200
BEGUN, BATCHED, STORED, ENDED = 'it\'s "begun"', "select", f"überall 🎉 {LONG}", "%s {0} $1 ?"
Stage = enum.Enum("Stage", [BEGUN, BATCHED, STORED, ENDED])
FIELDS = {"group": "a", "größe": 1, "seq": "b", "reason": "c", LONG: "d"}
Thing: Any = make_dataclass("Thing", [(name, type(value), value) for name, value in FIELDS.items()])
SEEN = {name: value * 2 for name, value in FIELDS.items()}


def things(name: str) -> bf.Workflow[Any, Any]:
    workflow: bf.Workflow[Any, Any] = bf.Workflow(name, Thing, Stage)

    def by_row(run: bf.Run[Any, Any]) -> Any:
        for field in ("group", "größe", "seq"):
            setattr(run.object, field, getattr(run.object, field) * 2)
        return Stage[BATCHED]

    def by_batch(batch: bf.Batch[Any, Any]) -> Any:
        batch["reason"] = batch["reason"] * 2
        return [STORED] * len(batch)

    workflow.add_step(Stage[BEGUN], by_row, Stage[BATCHED])
    workflow.add_step(Stage[BATCHED], by_batch, Stage[STORED], batch=True)
    doubled = {LONG: f'"{LONG}" || "{LONG}"', "group": '"group"'}
    status = "CASE WHEN \"größe\" = 2 THEN '%s {0} $1 ?' END"
    workflow.sql_step(Stage[STORED], to=[Stage[ENDED]], set=doubled, status=status)
    return workflow


@pytest.mark.parametrize(
    "name",
    ['"of\' the"; DROP TABLE x; --', "select", "日本語 🎉", "a.b", "%d{x}$1?", "runs", "x\\y"],
)
def test_any_names_work_in_loads_steps_and_queries(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / 'it\'s a "store" ü.duckdb')
    foreign_id = "f'\" " + "f" * 5_000
    with inline_engine(things(name), path=path) as engine:
        run_id = engine.trigger(foreign_id, Thing())
        engine.trigger_many("SELECT 'x' AS foreign_id", at=Stage[BEGUN])
        engine.run()
        assert engine.counts().fetchall() == [(ENDED, "COMPLETED", 2)]
        run = engine.get(run_id)
        assert (run.foreign_id, run.status, vars(run.object)) == (foreign_id, Stage[ENDED], SEEN)
        steps = engine.history(run_id).select("from_status, to_status").fetchall()
        assert steps == [(BEGUN, BATCHED), (BATCHED, STORED), (STORED, ENDED)]
    with inline_engine(things(name), path=path) as engine:
        engine.trigger(foreign_id, Thing())
        assert engine.pause(where="\"größe\" = 1 AND object_seq = 'b'", reason="it's").changed == 1
        quoted = name.replace('"', '""')
        reasons = engine.sql(f"SELECT reason FROM \"{quoted}\".runs WHERE run_state = 'PAUSED'")
        assert reasons.fetchall() == [("it's",)]
