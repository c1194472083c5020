"""The limits of a drain, its progress, and its report."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import batchflow as bf
from batchflow.coordinator import Forecast, Tally
from batchflow.engine import display
from batchflow.testing import FakeClock, inline_engine
from kit.open_store import open_store
from kit.things import Stage, Thing, load, numbers, things


def test_a_limit_applies_to_steps_in_the_store_too() -> None:
    workflow = bf.Workflow("things", Thing, Stage)
    workflow.sql_step(Stage.NEW, to=Stage.DONE, set={"number": "number + 1"})
    with inline_engine(workflow) as engine:
        load(engine, 100_000)
        report = engine.run(limit=10)

    assert report.runs == 10
    assert report.count("NEW") == 100_000 - 10


def test_a_drain_with_a_limit_does_not_wait_for_retries_beyond_it() -> None:
    def fail(run: bf.Run[Thing, Stage]) -> Stage:
        raise ValueError("no")

    clock = FakeClock()
    began = clock.now()
    with inline_engine(things(fail), clock=clock) as engine:
        load(engine, 5)
        report = engine.run(limit=2, wait_for_retries=True)

    assert report.runs == 2
    assert clock.now() == began


@pytest.mark.parametrize("limit", [-1, "5", 1.5, True])
def test_a_limit_that_is_not_a_count_is_rejected(limit: Any) -> None:
    with inline_engine(things()) as engine, pytest.raises(bf.InvalidOptionError) as caught:
        engine.run(limit=limit)

    assert repr(limit) in str(caught.value)


def test_an_until_that_is_not_a_time_is_rejected() -> None:
    with inline_engine(things()) as engine, pytest.raises(bf.InvalidOptionError) as caught:
        engine.run(until="06:00")  # type: ignore[arg-type]

    assert "datetime" in str(caught.value)


def test_a_drain_that_waits_for_retries_ends_at_its_time() -> None:
    def fail(run: bf.Run[Thing, Stage]) -> Stage:
        raise ValueError("no")

    clock = FakeClock()
    retry = bf.Retry(backoff_seconds=60, multiplier=1, jitter=0, pause_after=100)
    with inline_engine(things(fail, retry=retry), clock=clock) as engine:
        engine.trigger("a", Thing())
        report = engine.run(wait_for_retries=True, until=clock.now() + timedelta(seconds=200))

    assert report.runs == 4
    assert report.waiting_for_retry == 1


def test_several_workflows_share_a_store_and_its_workers(tmp_path: Path) -> None:
    orders, refunds = things(name="orders"), things(name="refunds")
    with bf.Engine(tmp_path / "both.duckdb", orders, refunds, workers=1) as engine:
        engine.trigger_many(numbers(300), foreign_id="number", workflow=orders)
        engine.trigger_many(numbers(200), foreign_id="number", workflow="refunds")
        with pytest.raises(bf.InvalidOptionError, match="'orders', 'refunds'"):
            load(engine, 1)
        report = engine.run()

    assert [(step.workflow, step.outcomes) for step in report.steps] == [
        ("orders", {"advanced": 300}),
        ("refunds", {"advanced": 200}),
    ]


@pytest.mark.parametrize("given", [(), ("orders",), (["orders"],)], ids=["none", "text", "list"])
def test_an_argument_that_is_not_a_workflow_is_rejected(given: Any) -> None:
    with pytest.raises(bf.DefinitionError, match="Engine\\(path, orders"):
        bf.Engine(":memory:", *given)


@pytest.mark.parametrize("workers", [-1, "2", 1.5, True])
def test_an_invalid_number_of_workers_is_rejected(tmp_path: Path, workers: Any) -> None:
    with pytest.raises(bf.InvalidOptionError, match="workers"):
        bf.Engine(tmp_path / "things.duckdb", things(), workers=workers)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("setting", ["batch_rows", "sql_batch_rows", "bytes_in_flight"])
def test_a_setting_of_zero_is_rejected(setting: str) -> None:
    with pytest.raises(bf.InvalidOptionError, match=setting):
        bf.EngineConfig(**{setting: 0})
    with pytest.raises(bf.InvalidOptionError, match="grace_seconds"):
        bf.EngineConfig(grace_seconds=-1)


def test_a_run_id_may_be_given_as_text() -> None:
    with inline_engine(things()) as engine:
        run_id = engine.trigger("a", Thing())
        assert engine.pause(run_ids=[str(run_id)]).changed == 1
        assert engine.resume(run_ids=[run_id]).changed == 1
        engine.run()
        assert engine.wait(str(run_id), Stage.DONE).foreign_id == "a"
        assert engine.get(str(run_id)).run_id == run_id
        assert len(engine.history(str(run_id))) == 3
        assert engine.get("a").run_id == run_id
        for wrong in ("b", None):
            with pytest.raises(bf.RunNotFoundError, match=f"no run {wrong!r}|no run {wrong}"):
                engine.get(wrong)  # type: ignore[arg-type]


def test_a_run_is_found_by_the_integer_that_it_was_triggered_with() -> None:
    with inline_engine(things()) as engine:
        run_id = engine.trigger(4711, Thing())
        engine.run()
        given: int | str
        for given in (4711, "4711"):
            assert engine.find(given).run_id == run_id
            assert engine.get(given).foreign_id == "4711"
            assert engine.wait(given, Stage.DONE).run_id == run_id
            assert len(engine.history(given)) > 0
        with pytest.raises(bf.RunNotFoundError, match="no run '4712'"):
            engine.get(4712)


def test_a_refused_result_counts_only_as_refused() -> None:
    engines: list[bf.Engine] = []

    def step(run: bf.Run[Thing, Stage]) -> Stage:
        engines[0].cancel("number < 2")
        if run.object.number == 0:
            raise ValueError("too late")
        return Stage.DONE

    with inline_engine(things(step)) as engine:
        engines.append(engine)
        load(engine, 5)
        report = engine.run()

    assert report.steps[0].outcomes == {"advanced": 3}
    assert (report.refused, report.runs) == (2, 5)
    assert "3 advanced, 2 refused" in str(report)
    assert "3 advanced, 2 refused" in report._repr_html_()


def test_a_commit_is_one_line_of_the_log_with_its_figures_as_fields(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        caplog.at_level(logging.DEBUG, logger="batchflow"),
        inline_engine(things()) as engine,
    ):
        load(engine, 500)
        engine.run()

    commits = [each.__dict__ for each in caplog.records if each.__dict__["action"] == "commit"]
    assert len(commits) == len(caplog.records) < 10
    assert sum(commit["runs"] for commit in commits) == 500
    assert {(commit["workflow"], commit["step"]) for commit in commits} == {("things", "finish")}


def test_a_drain_without_a_bar_logs_when_it_will_be_done(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display, "_LINES_EVERY_SECONDS", 0.0)
    with inline_engine(things()) as engine, caplog.at_level(logging.INFO, "batchflow"):
        load(engine, 10)
        engine.run(progress=False)

    lines = [line for line in caplog.records if getattr(line, "action", "") == "progress"]
    assert lines[0].getMessage().startswith("0 of 10 runs finished; 0 steps, 0 a second")
    assert lines[1].getMessage() == "NEW → DONE: 10 left at most, 0 a second"
    assert (lines[1].left, lines[1].step) == (10, "finish")
    assert len(lines) == 3
    assert lines[-1].getMessage().startswith("10 of 10 runs finished; 10 steps, ")
    assert lines[-1].done_by.tzinfo is not None


def test_progress_is_available_during_a_drain() -> None:
    seen: list[bf.Progress | None] = []

    def finish(run: bf.Run[Thing, Stage]) -> Any:
        seen.append(engine.progress())
        if run.object.number == 3:
            return run.pause("look")
        if run.object.number == 4:
            raise ValueError("no")
        return run.repeat() if run.object.number == 5 and len(seen) < 20 else Stage.DONE

    with inline_engine(things(finish, chunk_rows=1)) as engine:
        assert engine.progress() is None
        load(engine, 10)
        engine.run()
        assert engine.progress() is None

    first, last = seen[0], seen[-1]
    assert first is not None
    assert last is not None
    assert (first.finished, first.left, first.paused) == (0, 10, 0)
    assert (last.finished, last.left, last.paused, last.failed) == (7, 1, 1, 1)
    assert last.status_counts == {"things": {"NEW": 1, "DONE": 7}}


class Seen:
    """How many runs were finished and left after each commit."""

    def __init__(self, workflow: bf.Workflow[Any, Any]) -> None:
        self._forecast = Forecast([workflow])
        self.counts: list[tuple[int, int]] = []

    def note(self, tally: Tally) -> None:
        self._forecast.update(tally)
        progress = self._forecast.progress
        assert progress is not None
        self.counts.append((progress.finished, progress.left))


def test_progress_counts_steps_in_the_store() -> None:
    workflow = bf.Workflow("things", Thing, Stage)
    workflow.sql_step(Stage.NEW, to=Stage.DONE, set={"number": "number + 1"})
    seen = Seen(workflow)
    with open_store(":memory:", workflow) as store:
        load(store, 100_000)
        store.drain(listeners=[seen.note])

    assert (seen.counts[0], seen.counts[-1]) == ((0, 100_000), (100_000, 0))


def test_counts_stay_correct_while_retries_are_due_and_others_change_runs() -> None:
    """They are counted again and again, during commits."""
    over = threading.Event()

    def finish(run: bf.Run[Thing, Stage]) -> Stage:
        if run.object.number % 100 == 0 and run.attempt < 3:
            raise ValueError("no")
        return Stage.DONE

    def change() -> None:
        while not over.wait(0.0002):
            store.pause("false")

    retry = bf.Retry(backoff_seconds=0.01, pause_after=None)
    workflow = things(finish, retry=retry, chunk_rows=500)
    seen, changing = Seen(workflow), threading.Thread(target=change)
    with open_store(":memory:", workflow) as store:
        load(store, 10_000)
        changing.start()
        store.drain(executor=bf.ProcessPool(2), listeners=[seen.note], wait_for_retries=True)
        over.set()
        changing.join()

    assert seen.counts[-1] == (10_000, 0)
    # Runs that wait for their retry aren't left to any step; all others are.
    assert all(10_000 - 100 <= finished + left <= 10_000 for finished, left in seen.counts)


@pytest.mark.parametrize(("outage_seconds", "outcome"), [(450, "DONE"), (600, "NEW")])
def test_runs_survive_an_outage_of_minutes_by_default(outage_seconds: int, outcome: str) -> None:
    clock = FakeClock()
    back = clock.now() + timedelta(seconds=outage_seconds)

    def call(run: bf.Run[Thing, Stage]) -> Stage:
        if clock.now() < back:
            raise ConnectionError("no answer")
        return Stage.DONE

    with inline_engine(things(call), clock=clock) as engine:
        load(engine, 2)
        engine.run(wait_for_retries=True)

        assert engine.counts().aggregate("status, sum(runs)").fetchall() == [(outcome, 2)]


def test_a_drain_with_an_end_waits_for_the_retries_that_fall_due_before_it() -> None:
    clock = FakeClock()
    began = clock.now()

    def fail(run: bf.Run[Thing, Stage]) -> Stage:
        raise ConnectionError("no answer")

    with inline_engine(things(fail, retry=bf.Retry(jitter=0)), clock=clock) as engine:
        load(engine, 1)
        report = engine.run(until=began + timedelta(seconds=60))

    # After 1, 2, 4, 8 and 16 s; the next is due after 32 s more, so that the drain ends before.
    assert (report.runs, report.waiting_for_retry) == (6, 1)
    assert clock.now() < began + timedelta(seconds=35)
