"""The effect of each outcome of a step on its run, stored and logged."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

import batchflow as bf
from batchflow.errors import InvalidOutcome
from batchflow.testing import FakeClock, inline_engine


class Stage(enum.Enum):
    NEW = "new"
    READY = "ready"
    DONE = "done"


@dataclass
class Thing:
    number: int = 0
    text: str = ""
    tags: list[str] = field(default_factory=list)


def workflow_of(function: Callable[..., Any], **options: Any) -> bf.Workflow[Thing, Stage]:
    workflow = bf.Workflow("things", Thing, Stage)
    workflow.add_step(Stage.NEW, function, Stage.READY, Stage.DONE, **options)
    workflow.add_step(Stage.READY, lambda run: Stage.DONE, Stage.DONE)
    return workflow


def test_a_run_that_advances_keeps_the_changes_of_its_step() -> None:
    def step(run: bf.Run[Thing, Stage]) -> Stage:
        run.object.number += 1
        run.object.tags.append("seen")
        return Stage.READY

    with inline_engine(workflow_of(step)) as engine:
        run_id = engine.trigger("a", Thing(number=4))
        report = engine.run()
        run = engine.get(run_id)

    assert run.object == Thing(number=5, tags=["seen"])
    assert run.status is Stage.DONE
    assert run.run_state is bf.RunState.COMPLETED
    assert run.version == 3
    assert report.outcome("advanced") == 2


def test_a_skipped_run_is_unchanged_and_executed_once_per_drain() -> None:
    calls = []

    def step(run: bf.Run[Thing, Stage]) -> Any:
        calls.append(run.foreign_id)
        run.object.number = 9
        return run.skip()

    with inline_engine(workflow_of(step)) as engine:
        run_id = engine.trigger("a", Thing())
        engine.run()
        run = engine.get(run_id)
        assert engine.history(run_id).fetchall() == []
        engine.run()

    assert (run.object.number, run.version, run.run_state) == (0, 1, bf.RunState.INITIATED)
    assert calls == ["a", "a"]


def test_a_skipped_run_is_executed_again_in_the_same_drain_after_a_change() -> None:
    calls: list[str] = []
    engines: list[bf.Engine] = []

    def step(run: bf.Run[Thing, Stage]) -> Any:
        calls.append(run.foreign_id)
        if run.foreign_id == "b" and calls.count("a") == 1:
            engines[0].pause("foreign_id = 'a'")
            engines[0].resume("foreign_id = 'a'")
        return run.skip()

    with inline_engine(workflow_of(step, chunk_rows=1)) as engine:
        engines.append(engine)
        engine.trigger("a", Thing())
        engine.trigger("b", Thing())
        engine.run()

    assert calls == ["a", "b", "a"]


def test_a_run_that_repeats_keeps_its_changes_and_queues_behind_the_others() -> None:
    order = []

    def step(run: bf.Run[Thing, Stage]) -> Any:
        order.append(run.foreign_id)
        run.object.number += 1
        return Stage.DONE if run.object.number == 3 else run.repeat()

    with inline_engine(workflow_of(step, chunk_rows=1)) as engine:
        first = engine.trigger("a", Thing())
        for name in "bcd":
            engine.trigger(name, Thing(number=2))
        engine.run()
        run = engine.get(first)
        outcomes = engine.history(first).select("outcome").fetchall()

    assert order == ["a", "b", "c", "d", "a", "a"]
    assert run.object.number == 3
    assert [outcome for (outcome,) in outcomes] == ["repeated", "repeated", "advanced"]


@pytest.mark.parametrize("visits", [False, True])
def test_a_run_that_repeats_late_in_the_workflow_waits_for_the_runs_behind_it(visits: bool) -> None:
    order = []
    workflow = bf.Workflow("things", Thing, Stage, visits=visits)

    @workflow.step(Stage.NEW, to=Stage.READY, chunk_rows=1)
    def prepare(run: bf.Run[Thing, Stage]) -> Stage:
        order.append("prepare")
        return Stage.READY

    @workflow.step(Stage.READY, to=Stage.DONE, chunk_rows=1)
    def poll(run: bf.Run[Thing, Stage]) -> Any:
        order.append(run.foreign_id)
        run.object.number += 1
        return Stage.DONE if run.object.number > 2 else run.repeat()

    with inline_engine(workflow) as engine:
        engine.trigger("early", Thing(), at=Stage.READY)
        for name in "ab":
            engine.trigger(name, Thing(number=2))
        engine.run()

    if visits:
        assert order == ["early", "prepare", "a", "prepare", "b", "early", "early"]
    else:
        assert order == ["early", "prepare", "prepare", "a", "b", "early", "early"]


@pytest.mark.parametrize(
    ("verb", "state", "outcome"),
    [("pause", "PAUSED", "paused"), ("cancel", "CANCELLED", "cancelled")],
)
def test_a_step_can_stop_its_run_with_a_reason(verb: str, state: str, outcome: str) -> None:
    def step(run: bf.Run[Thing, Stage]) -> Any:
        run.object.number = 9
        return getattr(run, verb)("the bank said so")

    with inline_engine(workflow_of(step)) as engine:
        run_id = engine.trigger("a", Thing())
        report = engine.run()
        run = engine.get(run_id)

    assert run.run_state is bf.RunState[state]
    assert run.reason == "the bank said so"
    assert (run.object.number, run.status) == (0, Stage.NEW)
    assert report.outcome(outcome) == 1


def test_a_failure_waits_longer_each_time_and_then_pauses_its_run_alone() -> None:
    moments = []
    clock = FakeClock()

    def step(run: bf.Run[Thing, Stage]) -> Stage:
        if run.foreign_id == "bad":
            moments.append((run.attempt, clock.now()))
            raise ValueError(f"no luck at {run.attempt}")
        return Stage.DONE

    retry = bf.Retry(backoff_seconds=10, multiplier=2, jitter=0, pause_after=3)
    with inline_engine(workflow_of(step, retry=retry), clock=clock) as engine:
        bad = engine.trigger("bad", Thing())
        good = engine.trigger("good", Thing())
        report = engine.run(wait_for_retries=True)
        run = engine.get(bad)
        assert engine.get(good).status is Stage.DONE
        counted = engine.errors().select("count").fetchall()

    waits = [later - earlier for (_, earlier), (_, later) in itertools.pairwise(moments)]
    assert [attempt for attempt, _ in moments] == [1, 2, 3]
    assert waits[0] >= timedelta(seconds=10)
    assert waits[1] >= timedelta(seconds=20)
    assert sum(waits, timedelta()) < timedelta(seconds=31)
    assert run.run_state is bf.RunState.PAUSED
    assert "3 times" in (run.reason or "")
    assert "ValueError" in (run.reason or "")
    assert counted == [(3,)]
    assert report.paused == 1


def test_a_drain_that_does_not_wait_leaves_retries_for_the_next() -> None:
    clock = FakeClock()

    def step(run: bf.Run[Thing, Stage]) -> Stage:
        if run.attempt == 1:
            raise ValueError("once")
        return Stage.DONE

    with inline_engine(
        workflow_of(step, retry=bf.Retry(backoff_seconds=60)), clock=clock
    ) as engine:
        run_id = engine.trigger("a", Thing())
        assert engine.run().waiting_for_retry == 1
        assert engine.run().runs == 0
        clock.advance(61)
        engine.run()
        run = engine.get(run_id)

    assert run.status is Stage.DONE
    assert run.attempt == 1


def test_the_wait_for_a_retry_survives_a_restart(tmp_path: Any) -> None:
    clock = FakeClock()

    def step(run: bf.Run[Thing, Stage]) -> Stage:
        if run.attempt == 1:
            raise ValueError("once")
        return Stage.DONE

    path = str(tmp_path / "things.duckdb")
    workflow = workflow_of(step, retry=bf.Retry(backoff_seconds=60))
    with inline_engine(workflow, path=path, clock=clock) as engine:
        run_id = engine.trigger("a", Thing())
        engine.run()
    clock.advance(30)
    with inline_engine(workflow, path=path, clock=clock) as engine:
        assert engine.run().runs == 0
        engine.run(wait_for_retries=True)
        assert engine.get(run_id).status is Stage.DONE


def decisions(workflow: bf.Workflow[Thing, Stage]) -> list[list[tuple[Any, ...]]]:
    """Fail all runs at each attempt; return their columns after each."""
    clock = FakeClock()
    columns = "number, attempt, run_state, next_attempt_at, reason"
    with inline_engine(workflow, clock=clock, seed=7) as engine:
        engine.trigger_many([Thing(number) for number in range(6)], foreign_id="number")
        found = []
        for _ in range(4):
            engine.run()
            found.append(sorted(engine.runs().select(columns).fetchall()))
            clock.advance(1_000)
        return found


@pytest.mark.parametrize(
    "retry",
    [
        bf.Retry(backoff_seconds=10, multiplier=3, jitter=0.5, pause_after=3),
        bf.Retry(pause_after=1),
        bf.Retry(on=(InvalidOutcome,), pause_after=None),
        bf.Retry(never_on=(InvalidOutcome,)),
    ],
    ids=["backoff", "first", "on", "never_on"],
)
def test_failures_in_a_worker_and_in_the_store_lead_to_the_same_decisions(retry: bf.Retry) -> None:
    in_worker = workflow_of(lambda run: Stage.NEW, retry=retry)
    in_store = bf.Workflow("things", Thing, Stage)
    in_store.sql_step(Stage.NEW, to=Stage.DONE, status="upper('new')", retry=retry)

    expected = decisions(in_worker)

    assert decisions(in_store) == expected
    # Each failure leads to another attempt or to a reason.
    assert all((row[3] is None) != (row[4] is None) for rows in expected for row in rows)


def test_an_exception_that_is_never_retried_pauses_at_once() -> None:
    def step(run: bf.Run[Thing, Stage]) -> Stage:
        raise KeyError("no such thing")

    retry = bf.Retry(never_on=(LookupError,), pause_after=5)
    with inline_engine(workflow_of(step, retry=retry)) as engine:
        run_id = engine.trigger("a", Thing())
        engine.run()
        run = engine.get(run_id)

    assert run.run_state is bf.RunState.PAUSED


def test_an_undeclared_status_is_a_failure_that_names_it_and_the_allowed_ones() -> None:
    def step(run: bf.Run[Thing, Stage]) -> Stage:
        return Stage.NEW

    with inline_engine(workflow_of(step)) as engine:
        engine.trigger("a", Thing())
        engine.run()
        kind, message = engine.errors().select("type, message").fetchall()[0]

    assert kind == "InvalidOutcome"
    assert all(word in message for word in ("NEW", "READY", "DONE", "step"))


def test_a_value_that_does_not_fit_its_column_fails_its_run_alone() -> None:
    def step(run: bf.Run[Thing, Stage]) -> Stage:
        run.object.number = "many" if run.foreign_id == "bad" else 7  # type: ignore[assignment]
        return Stage.DONE

    with inline_engine(workflow_of(step)) as engine:
        bad, good = engine.trigger("bad", Thing()), engine.trigger("good", Thing())
        engine.run()
        kind, message = engine.errors().select("type, message").fetchall()[0]
        assert engine.get(good).object.number == 7
        assert engine.get(bad).object.number == 0

    assert kind == "InvalidObject"
    assert "number" in message
    assert "many" not in message


def test_a_success_after_failures_resets_the_attempts() -> None:
    clock = FakeClock()
    workflow = bf.Workflow("things", Thing, Stage, retry=bf.Retry(pause_after=3))
    seen = []

    @workflow.step(Stage.NEW, to=Stage.READY)
    def first(run: bf.Run[Thing, Stage]) -> Stage:
        if run.attempt < 3:
            raise ValueError("not yet")
        return Stage.READY

    @workflow.step(Stage.READY, to=Stage.DONE)
    def second(run: bf.Run[Thing, Stage]) -> Stage:
        seen.append(run.attempt)
        return Stage.DONE

    with inline_engine(workflow, clock=clock) as engine:
        engine.trigger("a", Thing())
        engine.run(wait_for_retries=True)

    assert seen == [1]


def test_a_resumed_run_begins_with_its_first_attempt() -> None:
    attempts = []

    def step(run: bf.Run[Thing, Stage]) -> Stage:
        attempts.append(run.attempt)
        if len(attempts) <= 2:
            raise ValueError("no")
        return Stage.DONE

    with inline_engine(workflow_of(step, retry=bf.Retry(pause_after=2))) as engine:
        run_id = engine.trigger("a", Thing())
        engine.run(wait_for_retries=True)
        assert engine.resume("status = 'NEW'") == bf.ControlReport("resumed", 1, 0)
        engine.run()
        assert engine.get(run_id).status is Stage.DONE

    assert attempts == [1, 2, 1]


def test_a_run_that_is_paused_during_its_step_stays_paused() -> None:
    engines: list[bf.Engine] = []

    def step(run: bf.Run[Thing, Stage]) -> Stage:
        engines[0].pause("foreign_id = 'a'", reason="hold it")
        run.object.number = 9
        return Stage.DONE

    with inline_engine(workflow_of(step)) as engine:
        engines.append(engine)
        paused, other = engine.trigger("a", Thing()), engine.trigger("b", Thing())
        report = engine.run()
        run = engine.get(paused)
        assert engine.get(other).status is Stage.DONE
        assert [row[0] for row in engine.history(paused).select("outcome").fetchall()] == ["paused"]

    assert (run.status, run.run_state, run.object.number) == (Stage.NEW, bf.RunState.PAUSED, 0)
    assert run.reason == "hold it"
    assert report.refused == 1


def test_a_million_failures_are_one_line_of_the_report() -> None:
    def step(run: bf.Run[Thing, Stage]) -> Stage:
        raise ValueError(f"no number {run.object.number}")

    with inline_engine(workflow_of(step)) as engine:
        engine.trigger_many(
            "SELECT i AS number, 'n' || i AS id FROM range(500) t(i)", foreign_id="id"
        )
        report = engine.run()

    assert [failure.count for failure in report.failures] == [500]
    assert "ValueError" in str(report)


def test_runs_that_a_step_skips_are_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    workflow = workflow_of(
        lambda batch: batch.where(batch["number"] > 1, Stage.DONE, None), batch=True
    )
    with inline_engine(workflow) as engine, caplog.at_level("INFO", logger="batchflow"):
        engine.trigger_many([Thing(number) for number in range(5)], foreign_id="number")
        report = engine.run()
    assert report.outcome("skipped") == 2
    assert "skipped 2 runs." in caplog.text
