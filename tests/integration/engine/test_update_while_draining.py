"""A load that updates runs leaves those alone that a step is executing."""

from __future__ import annotations

from dataclasses import dataclass

import batchflow as bf
from batchflow.testing import inline_engine
from kit.things import Stage


@dataclass
class Amount:
    number: int
    cents: int = 0


def test_a_run_that_a_step_executes_is_not_updated_and_is_reported() -> None:
    reports = []

    def move(run: bf.Run[Amount, Stage]) -> Stage:
        # The other run of the chunk is claimed as well, and waits for its call.
        corrected = [Amount(number, 7) for number in (1, 2, 3)]
        reports.append(engine.trigger_many(corrected, foreign_id="number", on_conflict="update"))
        return Stage.DONE

    workflow = bf.Workflow("amounts", Amount, Stage)
    workflow.add_step(Stage.NEW, move, Stage.DONE)
    with inline_engine(workflow) as engine:
        engine.trigger_many([Amount(number) for number in (1, 2)], foreign_id="number")
        later = engine.trigger("3", Amount(3))
        engine.pause(run_ids=[later])

        report = engine.run(progress=False)

        assert [(each.updated, each.skipped_conflicts) for each in reports] == [(1, 2)] * 2
        assert engine.rejected().select("DISTINCT reason").fetchall() == [("running",)]
        assert "load the source again later, a file with again=True" in reports[0].warnings[0]
        assert report.steps[0].refused == 0
        after = engine.trigger_many([Amount(3, 8)], foreign_id="number", on_conflict="update")
        assert after.updated == 1
