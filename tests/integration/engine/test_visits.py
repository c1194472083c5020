"""Whether steps share a visit changes how often is committed, and nothing else."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from visits_kit import Parcel, Stage, parcels, walk, walk_all

import batchflow as bf
from batchflow.testing import inline_engine
from kit.calls import Calls

RUNS, DEADLY = 60, 37
BOTH = pytest.mark.parametrize("visits", [False, True], ids=["committed", "visited"])
KINDS = pytest.mark.parametrize("batch", [False, True], ids=["row", "batch"])


def load(engine: bf.Engine, runs: int = RUNS) -> None:
    query = f"SELECT range AS number FROM range({runs})"
    engine.trigger_many(query, foreign_id="number", at=Stage.FIRST)


def table(engine: bf.Engine, columns: str) -> list[Any]:
    return engine.runs().order("number").select(columns).fetchall()


def log_of(engine: bf.Engine, number: int) -> list[Any]:
    columns = "from_status, to_status, outcome, run_state, attempt, version"
    return engine.history(str(number)).select(columns).fetchall()


def raising(stage: Stage, *, once: bool = False) -> Callable[..., Any]:
    """Return a row step that fails for one run."""

    def step(run: bf.Run[Parcel, Stage]) -> Stage:
        if run.object.number == DEADLY and run.status is stage and not (once and run.attempt > 1):
            run.object.trail = "lost"
            raise ConnectionError("not now")
        return walk(run)

    return step


@BOTH
def test_a_failure_keeps_the_results_of_the_steps_before_it(visits: bool) -> None:
    retry = bf.Retry(backoff_seconds=3600)
    workflow = parcels(walk, walk, raising(Stage.THIRD), visits=visits, retry=retry)
    with inline_engine(workflow) as engine:
        load(engine)
        engine.run(wait_for_retries=False)
        rows = table(engine, "status, run_state, version, attempt, trail")
        log = log_of(engine, DEADLY)
        errors = engine.sql("SELECT status, step, attempt, type FROM parcels.errors").fetchall()

    assert rows.pop(DEADLY) == ("THIRD", "RUNNING", 4, 2, "FS")
    assert set(rows) == {("DONE", "COMPLETED", 4, 1, "FST")}
    assert log == [
        ("FIRST", "SECOND", "advanced", "RUNNING", 1, 2),
        ("SECOND", "THIRD", "advanced", "RUNNING", 1, 3),
        ("THIRD", "THIRD", "failed", "RUNNING", 1, 4),
    ]
    assert errors == [("THIRD", "third", 1, "ConnectionError")]


@BOTH
def test_each_transition_has_its_own_version_and_attempt(visits: bool) -> None:
    retry = bf.Retry(backoff_seconds=1, jitter=0)
    step = raising(Stage.FIRST, once=True)
    with inline_engine(parcels(step, step, step, visits=visits, retry=retry)) as engine:
        load(engine)
        report = engine.run(wait_for_retries=True)
        assert log_of(engine, DEADLY) == [
            ("FIRST", "FIRST", "failed", "RUNNING", 1, 2),
            ("FIRST", "SECOND", "advanced", "RUNNING", 2, 3),
            ("SECOND", "THIRD", "advanced", "RUNNING", 1, 4),
            ("THIRD", "DONE", "advanced", "COMPLETED", 1, 5),
        ]
        assert table(engine, "attempt, version")[DEADLY] == (1, 5)
    assert [(step.step, step.outcomes) for step in report.steps] == [
        ("first", {"advanced": RUNS, "failed": 1}),
        ("second", {"advanced": RUNS}),
        ("third", {"advanced": RUNS}),
    ]
    assert report.runs == 3 * RUNS + 1


@BOTH
def test_each_kind_of_end_of_a_visit_is_counted_and_stored_for_its_own_step(visits: bool) -> None:
    def second(run: bf.Run[Parcel, Stage]) -> Any:
        match run.object.number % 4:
            case 0:
                return run.pause("look at it")
            case 1:
                return run.cancel("not wanted")
            case 2:
                return run.skip()
            case _:
                return walk(run)

    with inline_engine(parcels(walk, second, walk, visits=visits)) as engine:
        load(engine, 8)
        report = engine.run()
        rows = table(engine, "status, run_state, reason, version, trail")
        assert engine.runs("run_state = 'PAUSED'").aggregate("count(*)").fetchall() == [(2,)]

    assert rows[:4] == [
        ("SECOND", "PAUSED", "look at it", 3, "F"),
        ("SECOND", "CANCELLED", "not wanted", 3, "F"),
        ("SECOND", "RUNNING", None, 2, "F"),
        ("DONE", "COMPLETED", None, 4, "FST"),
    ]
    assert [step.outcomes for step in report.steps] == [
        {"advanced": 8},
        {"advanced": 2, "paused": 2, "cancelled": 2, "skipped": 2},
        {"advanced": 2},
    ]


@BOTH
def test_a_limit_counts_each_step_of_a_run(visits: bool) -> None:
    with inline_engine(parcels(visits=visits)) as engine:
        load(engine)
        assert engine.run(limit=10).runs == 10
        assert sum(version - 1 for (version,) in table(engine, "version")) == 10
        assert engine.run().runs == 3 * RUNS - 10


@BOTH
def test_a_stop_ends_a_visit_before_its_next_step(visits: bool) -> None:
    def first(run: bf.Run[Parcel, Stage]) -> Stage:
        if run.object.number == DEADLY:
            engine.request_stop()
        return walk(run)

    with inline_engine(parcels(first, walk, walk, visits=visits)) as engine:
        load(engine)
        engine.run()
        assert {status for (status,) in table(engine, "status")} <= {"FIRST", "SECOND"}
        engine.run()
        assert set(table(engine, "status, trail, version")) == {("DONE", "FST", 4)}


@BOTH
def test_a_drain_ends_at_its_time_between_two_steps(visits: bool) -> None:
    def step(run: bf.Run[Parcel, Stage]) -> Stage:
        time.sleep(0.005)
        return walk(run)

    workflow = parcels(step, step, step, visits=visits)
    with bf.Engine(":memory:", workflow, workers=0) as engine:
        load(engine)
        report = engine.run(until=bf.SystemClock().now() + timedelta(seconds=0.2))
        # On a busy machine the time may be over before the first step.
        assert report.runs < 3 * RUNS
        engine.run()
        assert set(table(engine, "status, trail, version")) == {("DONE", "FST", 4)}


@BOTH
@KINDS
def test_a_later_step_is_called_for_no_more_runs_than_it_accepts(batch: bool, visits: bool) -> None:
    sizes = []

    def second(given: Any) -> Stage:
        sizes.append(len(given))
        return walk_all(given)

    first = walk_all if batch else walk
    options = {"first": {"batch": batch}, "second": {"batch": True, "chunk_rows": 7}}
    with inline_engine(parcels(first, second, walk, visits=visits, options=options)) as engine:
        load(engine)
        engine.run()
        assert set(table(engine, "status, trail")) == {("DONE", "FST")}
    assert sum(sizes) == RUNS
    assert max(sizes) <= 7


@BOTH
def test_no_more_chunks_of_a_step_are_executed_at_once_than_it_allows(
    visits: bool, tmp_path: Path
) -> None:
    calls = Calls(tmp_path / "calls")
    inside = tmp_path / "inside"

    def second(batch: bf.Batch[Parcel, Stage]) -> Stage:
        inside.touch(exist_ok=False)
        time.sleep(0.01)
        calls.note(batch["number"].tolist())
        inside.unlink()
        return walk_all(batch)

    options = {"second": {"parallel": 1}}
    workflow = parcels(
        walk_all, second, walk_all, visits=visits, options=options, batch=True, chunk_rows=5
    )
    with bf.Engine(":memory:", workflow, workers=2) as engine:
        load(engine)
        assert engine.run().outcome("failed") == 0
        assert set(table(engine, "status, trail")) == {("DONE", "FST")}
    assert len(calls.all()) >= RUNS / 5


def ending(how: str) -> Callable[[], object]:
    """Return a way in which a call never returns."""
    return {
        "exits": lambda: os._exit(3),
        "hangs": lambda: re.match("(a|a)*b", "a" * 60),
        "eats memory": lambda: bytearray(2**31).count(1) or [bytearray(2**28) for _ in range(64)],
    }[how]


@pytest.mark.parametrize(
    ("how", "error", "batch", "visits"),
    [
        ("exits", "WorkerDied", False, True),
        ("hangs", "StepTimeout", True, True),
        ("eats memory", "MemoryError", True, True),
        ("exits", "WorkerDied", True, False),
    ],
)
def test_a_run_that_ends_its_worker_in_a_later_step_fails_alone_and_there(
    how: str, error: str, batch: bool, visits: bool
) -> None:
    end = ending(how)

    def third(given: Any) -> Stage:
        if DEADLY in (given["number"].tolist() if batch else [given.object.number]):
            end()
        return (walk_all if batch else walk)(given)

    walked = walk_all if batch else walk
    workflow = parcels(
        walked,
        walked,
        third,
        visits=visits,
        batch=batch,
        retry=bf.Retry(pause_after=1),
        # Others may take as long as they take: a call that ends its worker can be slow to do so.
        timeout_seconds=0.3 if how == "hangs" else None,
    )
    config = bf.EngineConfig(worker_memory_limit="200MB")
    with bf.Engine(":memory:", workflow, workers=1, config=config) as engine:
        load(engine)
        engine.run(wait_for_retries=True)
        rows = table(engine, "status, run_state, trail, version")
        errors = engine.sql("SELECT status, step, type FROM parcels.errors").fetchall()
        log = log_of(engine, DEADLY)

    assert rows.pop(DEADLY) == ("THIRD", "PAUSED", "FS", 4)
    assert set(rows) == {("DONE", "COMPLETED", "FST", 4)}
    assert errors == [("THIRD", "third", error)]
    assert [line[2] for line in log] == ["advanced", "advanced", "failed"]


@KINDS
def test_runs_that_ended_a_worker_share_no_visit_in_later_drains(
    batch: bool, tmp_path: Path
) -> None:
    calls = Calls(tmp_path / "calls")

    def first(given: Any) -> Stage:
        calls.note(given["number"].tolist() if batch else [given.object.number])
        return (walk_all if batch else walk)(given)

    def second(given: Any) -> Stage:
        if DEADLY in (given["number"].tolist() if batch else [given.object.number]):
            os._exit(3)
        return (walk_all if batch else walk)(given)

    workflow = parcels(
        first, second, walk_all if batch else walk, batch=batch, retry=bf.Retry(pause_after=1)
    )
    path = tmp_path / "parcels.duckdb"
    with bf.Engine(path, workflow, workers=1) as engine:
        load(engine)
        engine.run()
    with bf.Engine(path, workflow, workers=1) as engine:
        engine.resume("true")
        engine.run()
        assert table(engine, "status, version")[DEADLY] == ("SECOND", 5)
    counted = Counter(number for _, numbers in calls.all() for number in numbers)
    assert counted.keys() == set(range(RUNS))


@BOTH
def test_a_step_sees_that_a_stop_was_requested_in_any_step_of_a_visit(visits: bool) -> None:
    began = threading.Event()

    def second(run: bf.Run[Parcel, Stage]) -> Any:
        began.set()
        while not run.stopping:
            time.sleep(0.001)
        return walk(run)

    def stop() -> None:
        began.wait()
        engine.request_stop()

    with inline_engine(parcels(walk, second, walk, visits=visits)) as engine:
        load(engine, 1)
        thread = threading.Thread(target=stop)
        thread.start()
        engine.run()
        thread.join()
        assert table(engine, "status, trail") == [("THIRD", "FS")]


@BOTH
def test_a_status_that_a_run_only_passed_through_was_reached(visits: bool) -> None:
    with bf.Engine(":memory:", parcels(visits=visits), workers=1) as engine:
        engine.start()
        run_id = engine.trigger("a", Parcel(1), at=Stage.FIRST)
        assert engine.wait(run_id, Stage.SECOND, timeout_seconds=60).object.trail[:1] == "F"
        assert engine.wait(run_id, Stage.DONE, timeout_seconds=60).object.trail == "FST"
        assert engine.wait(run_id, Stage.THIRD, timeout_seconds=0).status is Stage.DONE
        engine.stop()


@BOTH
@pytest.mark.parametrize("action", ["pause", "cancel"])
def test_the_late_results_of_all_steps_of_a_visit_are_refused(visits: bool, action: str) -> None:
    def second(run: bf.Run[Parcel, Stage]) -> Stage:
        if run.object.number == 0:
            getattr(engine, action)("number < 5", reason="not wanted")
        return walk(run)

    with inline_engine(parcels(walk, second, walk, visits=visits)) as engine:
        load(engine)
        report = engine.run()
        rows = table(engine, "status, trail, version, reason")
        logs = [log_of(engine, number) for number in range(5)]

    at, trail, version = ("FIRST", "", 2) if visits else ("SECOND", "F", 3)
    assert set(rows[:5]) == {(at, trail, version, "not wanted")}
    assert set(rows[5:]) == {("DONE", "FST", 4, None)}
    assert all(log[-1][1:3] == (at, action + ("d" if action == "pause" else "led")) for log in logs)
    assert report.refused == (15 if visits else 5)


@pytest.mark.parametrize(
    ("charged_first", "option", "batch", "visits"),
    [
        (True, {"side_effects": True}, False, True),
        (False, {"commit": "after"}, True, True),
        (False, {"side_effects": True}, False, False),
    ],
)
def test_a_step_that_commits_after_itself_is_repeated_by_no_step_of_other_runs(
    charged_first: bool, option: dict[str, Any], batch: bool, visits: bool, tmp_path: Path
) -> None:
    calls = Calls(tmp_path / "calls")
    charged, reviewed = (Stage.SECOND, Stage.THIRD)[:: 1 if charged_first else -1]
    workflow = bf.Workflow("parcels", Parcel, Stage, visits=visits)

    def triage(given: Any) -> Any:
        if batch:
            return np.where(given["number"] % 2 == 0, charged.name, reviewed.name)
        return charged if given.object.number % 2 == 0 else reviewed

    def numbers_of(given: Any) -> list[int]:
        return given["number"].tolist() if batch else [given.object.number]

    def charge(given: Any) -> Stage:
        calls.note(numbers_of(given))
        return Stage.DONE

    def review(given: Any) -> Stage:
        if DEADLY in numbers_of(given):
            os._exit(3)
        return Stage.DONE

    retry = bf.Retry(pause_after=1)
    workflow.add_step(Stage.FIRST, triage, charged, reviewed, batch=batch)
    workflow.add_step(charged, charge, Stage.DONE, batch=batch, **option)
    workflow.add_step(reviewed, review, Stage.DONE, batch=batch, retry=retry)
    with bf.Engine(":memory:", workflow, workers=1) as engine:
        load(engine)
        engine.run(wait_for_retries=True)
        left = engine.runs("status <> 'DONE'").select("number").fetchall()

    assert left == [(DEADLY,)]
    counted = Counter(number for _, numbers in calls.all() for number in numbers)
    assert counted == dict.fromkeys(range(0, RUNS, 2), 1)


def commits(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the steps of the commits, in their order."""
    records = (record.__dict__ for record in caplog.records)
    return [record["step"] for record in records if record.get("action") == "commit"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["first"]),
        ({"second": {"commit": "before"}}, ["first", "second"]),
        ({"second": {"commit": "after"}}, ["first", "third"]),
        ({"second": {"side_effects": True}}, ["first", "third"]),
        (
            {"first": {"side_effects": True}, "third": {"commit": "before"}},
            ["first", "second", "third"],
        ),
        ({"second": {"threads": 2}}, ["first", "second", "third"]),
        ({"second": {"timeout_seconds": 60}}, ["first"]),
    ],
)
def test_a_step_is_committed_where_its_options_say(
    options: dict[str, dict[str, Any]], expected: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.INFO, "batchflow"),
        inline_engine(parcels(options=options)) as engine,
    ):
        load(engine)
        engine.run()
        assert set(table(engine, "status, trail, version")) == {("DONE", "FST", 4)}
    assert commits(caplog) == expected


@BOTH
def test_a_run_goes_around_a_loop_in_one_visit_if_nothing_else_waits(
    visits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    workflow = bf.Workflow("parcels", Parcel, Stage, visits=visits)

    @workflow.step(Stage.FIRST, to=Stage.SECOND)
    def enter(run: bf.Run[Parcel, Stage]) -> Stage:
        return walk(run)

    @workflow.step(Stage.SECOND, to=Stage.THIRD)
    def out(run: bf.Run[Parcel, Stage]) -> Stage:
        return walk(run)

    @workflow.step(Stage.THIRD, to=(Stage.SECOND, Stage.DONE))
    def back(run: bf.Run[Parcel, Stage]) -> Stage:
        walk(run)
        return Stage.DONE if len(run.object.trail) > 20 else Stage.SECOND

    with caplog.at_level(logging.INFO, "batchflow"), inline_engine(workflow) as engine:
        load(engine, 1)
        report = engine.run()
        assert table(engine, "status, trail, version") == [("DONE", "F" + "ST" * 10, 22)]
        lines = log_of(engine, 0)
    assert [line[5] for line in lines] == list(range(2, 23))
    assert [step.outcomes["advanced"] for step in report.steps] == [1, 10, 10]
    assert len(commits(caplog)) == (1 if visits else 21)


@pytest.mark.parametrize("kinds", [(0, 1, 0), (1, 0, 1)])
def test_row_and_batch_steps_share_a_visit(
    kinds: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    steps = [walk_all if batch else walk for batch in kinds]
    names = ("first", "second", "third")
    options = {name: {"batch": bool(batch)} for name, batch in zip(names, kinds, strict=True)}
    with (
        caplog.at_level(logging.INFO, "batchflow"),
        inline_engine(parcels(*steps, options=options)) as engine,
    ):
        load(engine)
        engine.run()
        assert set(table(engine, "status, trail, version")) == {("DONE", "FST", 4)}
    assert commits(caplog) == ["first"]
