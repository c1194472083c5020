"""Steps that wait: many runs at once, in an event loop or in threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from step_harness import Execute, Status, items


class Meeting:
    """Let callers go once so many are there together; count the most that ever were."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.here = 0
        self.most = 0
        self.full = asyncio.Event()

    async def join(self) -> None:
        self.here += 1
        self.most = max(self.most, self.here)
        if self.here >= self.size:
            self.full.set()
        await asyncio.wait_for(self.full.wait(), 30)
        await asyncio.sleep(0)
        self.here -= 1


def test_an_async_step_executes_as_many_runs_at_once_as_its_concurrency(execute: Execute) -> None:
    meeting = Meeting(5)

    async def step(run: Any) -> Any:
        await meeting.join()
        run.object.count += 1
        return Status.DONE

    done = execute(step, items(20), concurrency=5)
    assert done.outcomes == ["ADVANCED"] * 20
    assert done.change("count") == list(range(1, 21))
    assert meeting.most == 5


def test_a_threaded_step_executes_as_many_runs_at_once_as_its_threads(execute: Execute) -> None:
    barrier = threading.Barrier(4, timeout=30)

    def step(run: Any) -> Any:
        barrier.wait()
        run.object.count += 1
        run.object.tags.append("seen")
        return Status.DONE

    done = execute(step, items(20), threads=4)
    assert done.outcomes == ["ADVANCED"] * 20
    assert done.change("count") == list(range(1, 21))
    assert done.change("tags") == [["seen"]] * 20


def as_plain(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return step


def as_async(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    async def waiting(run: Any) -> Any:
        await asyncio.sleep(0)
        return step(run)

    return waiting


@pytest.mark.parametrize(("kind", "options"), [(as_plain, {"threads": 3}), (as_async, {})])
def test_outcomes_are_those_of_any_row_step(
    execute: Execute, kind: Any, options: dict[str, Any]
) -> None:
    def step(run: Any) -> Any:
        run.object.count += 10
        ways: list[Callable[[], Any]] = [
            lambda: Status.DONE,
            run.repeat,
            run.skip,
            lambda: run.pause("wait"),
            lambda: 1 / 0,
            lambda: None,
            lambda: setattr(run, "object", 5),
        ]
        return ways[run.object.count - 10]()

    done = execute(kind(step), items(7), **options)
    kinds = "ADVANCED REPEATED SKIPPED PAUSED FAILED FAILED FAILED"
    assert done.outcomes == kinds.split()
    assert done.change("count") == [10, 11, "-", "-", "-", "-", "-"]
    assert [done.failures[row][0] for row in (4, 5, 6)] == [
        "ZeroDivisionError",
        "InvalidOutcome",
        "InvalidObject",
    ]


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit, MemoryError]
)
def test_no_exception_leaves_an_async_step(execute: Execute, error: type) -> None:
    async def step(run: Any) -> Any:
        await asyncio.sleep(0)
        if run.object.count == 1:
            raise error
        return Status.DONE

    done = execute(step, items(3))
    assert done.outcomes == ["ADVANCED", "FAILED", "ADVANCED"]
    assert done.failures[1][0] == error.__name__


def test_an_async_call_that_takes_too_long_is_ended_and_fails_its_run(execute: Execute) -> None:
    async def step(run: Any) -> Any:
        if run.object.count == 1:
            await asyncio.Event().wait()
        return Status.DONE

    done = execute(step, items(3), timeout_seconds=0.05)
    assert done.outcomes == ["ADVANCED", "FAILED", "ADVANCED"]
    assert done.failures[1][0] == "StepTimeout"
    assert "its 0.05 s" in done.failures[1][1]


def test_a_timeout_error_of_the_step_itself_is_recorded_as_such(execute: Execute) -> None:
    async def step(run: Any) -> Any:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    assert execute(step, items(1), timeout_seconds=30).failures[0][0] == "TimeoutError"


def test_an_async_step_sees_that_its_time_is_up(execute: Execute) -> None:
    async def step(run: Any) -> Any:
        while not run.stopping:  # noqa: ASYNC110 - the deadline sets no event
            await asyncio.sleep(0)
        return run.repeat()

    assert execute(step, items(2), timeout_seconds=0.5).outcomes == ["REPEATED", "REPEATED"]


@pytest.mark.parametrize(("kind", "options"), [(as_plain, {"threads": 2}), (as_async, {})])
def test_unstarted_runs_are_returned(execute: Execute, kind: Any, options: dict[str, Any]) -> None:
    step = kind(lambda run: Status.DONE)
    done = execute(step, items(300), facts={"slice_seconds": 0.0}, **options)
    begun = done.outcomes.count("ADVANCED")
    assert 1 <= begun < 300
    assert done.outcomes == ["ADVANCED"] * begun + ["RETURNED"] * (300 - begun)


def test_an_async_step_works_within_a_running_loop(execute: Execute) -> None:
    async def step(run: Any) -> Any:
        await asyncio.sleep(0)
        return Status.DONE

    async def notebook() -> list[str]:
        return execute(step, items(2)).outcomes

    assert asyncio.run(notebook()) == ["ADVANCED", "ADVANCED"]


@pytest.mark.parametrize("batch", [False, True])
def test_a_coroutine_from_a_plain_function_is_not_an_answer(execute: Execute, batch: bool) -> None:
    async def later() -> Any:
        return Status.DONE

    done = execute(lambda run: later(), items(1), batch=batch)
    assert "a value of type coroutine" in done.failures[0][1]
