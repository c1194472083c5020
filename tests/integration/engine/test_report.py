"""The report of a drain: what it did, what it left, and what earlier drains left."""

from __future__ import annotations

import batchflow as bf
from batchflow.testing import FakeClock, inline_engine
from kit.things import Stage, Thing, things


def fail_at_first(run: bf.Run[Thing, Stage]) -> Stage:
    if run.object.number < 2 and run.attempt == 1:
        raise ValueError("at first")
    if run.object.number == 5:
        raise ValueError("always")
    return Stage.DONE


def flaky() -> bf.Workflow[Thing, Stage]:
    return things(fail_at_first, retry=bf.Retry(backoff_seconds=0, pause_after=2))


def trigger(engine: bf.Engine, *numbers: int) -> None:
    engine.trigger_many([Thing(number) for number in numbers], foreign_id="number")


def test_failures_and_pauses_are_those_of_the_drain_and_earlier_ones_are_counted_apart() -> None:
    with inline_engine(flaky()) as engine:
        trigger(engine, 0, 1, 5)
        first = engine.run(wait_for_retries=True)
        second = engine.run()

    assert [failure.count for failure in first.failures] == [2, 2]
    assert (first.newly_paused, first.paused_before, first.older_failures) == (1, 0, 0)
    assert "1 run was paused" in str(first)
    assert second.failures == ()
    # The other failures are those of runs that have finished since.
    assert (second.newly_paused, second.paused_before, second.older_failures) == (0, 1, 2)
    assert "From before this drain: 1 run is paused; 2 failures of unfinished runs." in str(second)


def test_a_failure_of_a_sql_step_is_one_of_its_drain() -> None:
    workflow = bf.Workflow("things", Thing, Stage)
    failing = "CASE WHEN number = 5 THEN error('no') ELSE number END"
    workflow.sql_step(Stage.NEW, to=Stage.DONE, set={"number": failing})
    with inline_engine(workflow) as engine:
        trigger(engine, 5, 6)
        failed = engine.run()
        assert engine.run().failures == ()

    assert failed.waiting_for_retry + failed.newly_paused == 1
    assert len(failed.failures) == 1


def test_a_drain_that_is_cut_short_reports_the_runs_that_are_left() -> None:
    clock = FakeClock()
    with inline_engine(flaky(), clock=clock) as engine:
        trigger(engine, *range(10, 20))
        limited = engine.run(limit=4)
        late = engine.run(until=clock.now())
        rest = engine.run()

    assert (limited.ended_by, limited.left) == ("limit", 6)
    assert "6 runs are left to execute (the limit was reached)" in str(limited)
    assert (late.ended_by, late.left) == ("until", 6)
    assert (rest.ended_by, rest.left) == ("idle", 0)
    assert "left" not in str(rest)


def test_runs_that_wait_for_a_retry_are_counted_apart_from_those_that_are_left() -> None:
    retry = bf.Retry(backoff_seconds=300, max_backoff_seconds=300)
    with inline_engine(things(fail_at_first, retry=retry)) as engine:
        trigger(engine, 0, 1, 10, 11)
        report = engine.run(limit=3)

    assert (report.left, report.waiting_for_retry) == (1, 2)


def test_a_column_that_is_always_empty_is_left_out_of_the_report() -> None:
    with inline_engine(flaky()) as engine:
        trigger(engine, 5)
        report = engine.run(wait_for_retries=True)

    assert report.failures[0].sample == ""
    assert "sample" not in str(report)
    assert "sample" not in report._repr_html_()
