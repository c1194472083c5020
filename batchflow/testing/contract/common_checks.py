"""The rules that hold for every executor."""

from __future__ import annotations

import time

from batchflow.chunk import Chunk, ChunkResult
from batchflow.definition import Outcome
from batchflow.errors import ResourceError
from batchflow.testing.contract.case import (
    ExecutorCase,
    ExecutorContractError,
    News,
    expect,
    expect_kind,
    expect_outcomes,
    later,
    values_of,
)
from batchflow.testing.contract.probe import Act

LARGE_ROWS = 65_536
_LARGE_TEXT = "large " * 16
_CHUNKS = 20
_MOST_SLOTS = 10_000
_SOON_SECONDS = 0.3
_MOST_RETURNS = 50


def check_results(case: ExecutorCase) -> None:
    """Check that a chunk's result has each run's outcome, changes, failure and reason."""
    acts = [Act.ADVANCE, Act.RAISE, Act.SKIP, Act.PAUSE, Act.ADVANCE]
    result = case.result_of(case.open(), case.chunk(acts))
    expect_outcomes(
        result,
        [Outcome.ADVANCED, Outcome.FAILED, Outcome.SKIPPED, Outcome.PAUSED, Outcome.ADVANCED],
    )
    numbers = values_of(result, "number")
    expect([numbers[0], numbers[4]] == [1, 5], f"The field has {numbers}.")
    failures = result.failures.select(["row", "type", "message"]).to_pylist()
    raised = {"row": 1, "type": "ValueError", "message": "the contract raises this"}
    expect(failures == [raised], f"The failures are {failures}.")
    reasons = result.reasons.to_pylist()
    expect(reasons == [{"row": 3, "reason": "the contract pauses it"}], f"Reasons: {reasons}.")


def check_order(case: ExecutorCase) -> None:
    """Check that each of many chunks is returned once with its own results, in whatever order."""
    executor = case.open()
    chunks = [case.chunk(numbers=[index, -index, index]) for index in range(_CHUNKS)]
    waiting, under_way, news = chunks[::-1], [], dict[int, News]()
    while waiting:
        case.await_slot(executor)
        while waiting and executor.slots > 0:
            chunk = waiting.pop()
            under_way.append(chunk)
            executor.submit(chunk)
        case.collected(executor, under_way, news)
    for index, chunk in enumerate(chunks):
        numbers = values_of(expect_kind(news[chunk.chunk_id], ChunkResult), "number")
        expected = [index + 1, -index + 1, index + 1]
        expect(numbers == expected, f"Expected {expected}, found {numbers} of another chunk.")


def check_slots(case: ExecutorCase) -> None:
    """Check that a chunk takes a slot, and its result frees it."""
    executor = case.open()
    case.await_slot(executor)
    expect(executor.workers >= 1, f"There is a slot, and workers is {executor.workers}.")
    chunks: list[Chunk] = []
    while (slots := executor.slots) > 0:
        expect(len(chunks) < _MOST_SLOTS, f"{_MOST_SLOTS} chunks took all slots but {slots}.")
        chunks.append(case.chunk())
        executor.submit(chunks[-1])
        expect(executor.slots < slots, f"There were {slots} slots before and after a submit.")
    case.collected(executor, chunks)
    case.await_slot(executor)
    case.outcome_of(executor, case.chunk())


def check_large_chunks(case: ExecutorCase) -> None:
    """Check that a chunk of 65,536 runs and several megabytes arrives and comes back whole."""
    chunk = case.chunk([Act.ADVANCE] * LARGE_ROWS, text=_LARGE_TEXT)
    result = case.result_of(case.open(), chunk)
    expect(result.num_rows == LARGE_ROWS, f"The result has {result.num_rows} runs.")
    expect(values_of(result, "number") == list(range(1, LARGE_ROWS + 1)), "Numbers are wrong.")
    texts = set(values_of(result, "text"))
    expect(texts == {_LARGE_TEXT + "x"}, "Texts were cut or mixed up.")


def check_suspects(case: ExecutorCase) -> None:
    """Check that a suspect chunk is executed like any other."""
    executor = case.open()
    result = case.result_of(executor, case.chunk(), suspect=True)
    expect(values_of(result, "number") == [1, 2, 3], "A suspect chunk has other results.")
    case.await_slot(executor, suspect=True)


def check_time_to_wait(case: ExecutorCase) -> None:
    """Check that `completed` waits to the end of its time if there is no news."""
    executor = case.open()
    case.outcome_of(executor, case.chunk())
    returns, began = 0, time.monotonic()
    while time.monotonic() - began < _SOON_SECONDS:
        expect(not executor.completed(_SOON_SECONDS), "A chunk was returned twice.")
        returns += 1
    expect(returns < _MOST_RETURNS, f"It returned {returns} times in {_SOON_SECONDS} s, idle.")
    waited = time.monotonic() - began
    expect(waited < case.patience_seconds, f"completed({_SOON_SECONDS}) took {waited:.1f} s.")


def check_wake(case: ExecutorCase) -> None:
    """Check that `wake` makes `completed` return, the one that waits or else the next one."""
    executor = case.open()
    case.outcome_of(executor, case.chunk())
    began = time.monotonic()
    executor.wake()
    executor.completed(case.patience_seconds)
    with later(executor.wake):
        executor.completed(case.patience_seconds)
    waited = time.monotonic() - began
    expect(waited < case.patience_seconds, f"completed waited for {waited:.1f} s in spite of wake.")


def check_stop(case: ExecutorCase) -> None:
    """Check that a requested stop returns the runs that weren't started, until it is withdrawn."""
    executor = case.open()
    acts = [Act.AWAIT_STOP, Act.ADVANCE, Act.ADVANCE]
    case.await_slot(executor)
    chunk = case.chunk(acts)
    with later(lambda: executor.request_stop(stop=True)):
        executor.submit(chunk)
        news = case.collected(executor, [chunk])
    returned = [Outcome.RETURNED] * 2
    result = expect_kind(news[chunk.chunk_id], ChunkResult)
    expect_outcomes(result, [Outcome.ADVANCED, *returned])
    expect_outcomes(case.result_of(executor, case.chunk(acts)), [Outcome.ADVANCED, *returned])
    executor.request_stop(stop=False)
    expect_outcomes(case.result_of(executor, case.chunk()), [Outcome.ADVANCED] * 3)


def check_abandon(case: ExecutorCase) -> None:
    """Check that `abandon` drops all chunks, and the executor goes on after it."""
    executor = case.open()
    case.await_slot(executor)
    executor.submit(case.chunk())
    executor.abandon()
    executor.start()
    chunk = case.chunk()
    case.await_slot(executor)
    executor.submit(chunk)
    case.collected(executor, [chunk])
    expect(not executor.completed(_SOON_SECONDS), "An abandoned chunk was returned.")


def check_resources(case: ExecutorCase) -> None:
    """Check that a worker opens a resource once, at first use, and closes it at its end."""
    executor = case.open()
    opened = _opened_workers(case)
    expect(not opened, f"{len(opened)} resources were opened before a chunk needed them.")
    names: set[str] = set()
    for _ in range(_CHUNKS):
        result = case.result_of(executor, case.chunk(workflow="resources"))
        names |= set(values_of(result, "worker"))
    opened = _opened_workers(case)
    expect(names == opened.keys(), f"{len(opened)} were opened, the steps saw {len(names)}.")
    workers = executor.workers
    expect(len(names) <= workers, f"{workers} workers opened {len(names)} resources.")
    executor.close()
    deadline = time.monotonic() + case.patience_seconds
    while "open" in _opened_workers(case).values():
        expect(time.monotonic() < deadline, "A resource is still open after close().")
        time.sleep(0.05)


def check_failing_resource(case: ExecutorCase) -> None:
    """Check that a resource that doesn't open raises ResourceError, which names it."""
    executor = case.open()
    try:
        case.outcome_of(executor, case.chunk(workflow="unopened"))
    except ResourceError as error:
        expect("'worker'" in str(error), f"The error doesn't name the resource: {error}")
    else:
        raise ExecutorContractError("A resource that doesn't open raised no ResourceError.")


def check_interrupt_elsewhere(case: ExecutorCase) -> None:
    """Check that `interrupt` does nothing if no step is executed in the calling thread."""
    executor = case.open()
    try:
        executor.interrupt()
        result = case.result_of(executor, case.chunk())
        executor.interrupt()
    except KeyboardInterrupt:
        raise ExecutorContractError("interrupt() raised, and no step was executed.") from None
    expect_outcomes(result, [Outcome.ADVANCED] * 3)


def check_close_twice(case: ExecutorCase) -> None:
    """Check that `close` may be called twice, and before a chunk was executed."""
    executor = case.open()
    executor.close()
    executor.close()
    executor = case.open()
    case.outcome_of(executor, case.chunk())
    executor.close()
    executor.close()
    executor.wake()


def _opened_workers(case: ExecutorCase) -> dict[str, str]:
    return {file.stem: file.read_text() for file in case.folder.glob("*.worker")}
