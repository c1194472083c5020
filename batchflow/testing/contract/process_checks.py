"""The rules for executors whose steps run in other processes, have time limits or memory limits."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from batchflow.chunk import Chunk, ChunkResult
from batchflow.definition import Outcome
from batchflow.errors import StepCodeError
from batchflow.executor import Capability, Executor, LostChunk
from batchflow.testing.contract.case import (
    ExecutorCase,
    ExecutorContractError,
    expect,
    expect_kind,
    expect_outcomes,
    values_of,
)
from batchflow.testing.contract.probe import Act, ProbeStatus, UnloadableStep, UnsendableStep

_MEMORY_LIMIT = "200MB"
_STILL_SECONDS = 0.5
_CALL_ROWS = 4
_ATTEMPTS = 5


def check_dying_worker(case: ExecutorCase) -> None:
    """Check that a step that ends its process loses its chunk, which is blamed, and no other is."""
    executor = case.open()
    case.await_slot(executor)
    deadly = case.chunk([Act.ADVANCE, Act.EXIT, Act.ADVANCE])
    chunks = [deadly]
    executor.submit(deadly)
    while executor.slots > 0:
        chunks.append(case.chunk())
        executor.submit(chunks[-1])
    news = case.collected(executor, chunks)
    lost = expect_kind(news.pop(deadly.chunk_id), LostChunk)
    _expect_blamed(lost, "WorkerDied")
    for other in news.values():
        innocent = isinstance(other, ChunkResult) or not other.blamed
        expect(innocent, f"A chunk that its worker wasn't executing is blamed: {other}")
    case.result_of(executor, case.chunk())


def check_isolation(case: ExecutorCase) -> None:
    """Check that a suspect chunk never shares a worker with chunks that aren't suspect."""
    executor = case.open()
    workers: dict[bool, set[str]] = {True: set(), False: set()}
    for suspect in (False, True, False, True, True, False):
        result = case.result_of(executor, case.chunk(workflow="resources"), suspect=suspect)
        workers[suspect] |= set(values_of(result, "worker"))
    shared = workers[True] & workers[False]
    expect(not shared, f"{len(shared)} workers executed suspect chunks and others.")


def check_dying_suspect(case: ExecutorCase) -> None:
    """Check that a suspect chunk that ends its process is blamed, and no other worker affected."""
    executor = case.open()
    lost = case.outcome_of(executor, case.chunk([Act.EXIT]), suspect=True)
    _expect_blamed(expect_kind(lost, LostChunk), "WorkerDied")
    case.result_of(executor, case.chunk())
    case.result_of(executor, case.chunk(), suspect=True)


def check_abandon_running(case: ExecutorCase) -> None:
    """Check that `abandon` ends steps under way."""
    executor = case.open()
    _check_ended(case, executor, executor.abandon)
    executor.start()
    case.result_of(executor, case.chunk())


def check_close_running(case: ExecutorCase) -> None:
    """Check that `close` ends steps under way."""
    executor = case.open()
    _check_ended(case, executor, executor.close)


def check_unloadable_code(case: ExecutorCase) -> None:
    """Check that code that a worker can't load raises StepCodeError, which names the step."""
    executor = case.open_for_step(UnloadableStep())
    _expect_code_error(lambda: case.outcome_of(executor, case.chunk()), "unloadable")


def check_unsendable_code(case: ExecutorCase) -> None:
    """Check that opening raises StepCodeError if code can't be sent, and that it names the step."""
    _expect_code_error(lambda: case.open_for_step(UnsendableStep()), "unsendable")


def check_named_row(case: ExecutorCase) -> None:
    """Check that a lost chunk names the row whose call was under way."""
    executor = case.open()
    lost = case.outcome_of(executor, case.chunk([Act.ADVANCE, Act.EXIT, Act.ADVANCE]))
    _expect_rows(lost, range(1, 2))


def check_named_part(case: ExecutorCase) -> None:
    """Check that a lost chunk of a batch step names the rows of the call that was under way."""
    acts = [Act.ADVANCE] * 5 + [Act.EXIT] + [Act.ADVANCE] * 4
    chunk = case.chunk(acts, status=ProbeStatus.BATCH, call_rows=_CALL_ROWS)
    _expect_rows(case.outcome_of(case.open(), chunk), range(_CALL_ROWS, 2 * _CALL_ROWS))


def check_timeout(case: ExecutorCase) -> None:
    """Check that a call that is still running after its timeout_seconds is ended, and blamed."""
    executor = case.open()
    chunk = _hanging(case, [Act.ADVANCE, Act.HANG, Act.ADVANCE], ProbeStatus.TIMED)
    lost = expect_kind(case.outcome_of(executor, chunk), LostChunk)
    _expect_blamed(lost, "StepTimeout")
    if case.claims(Capability.NAMES_CALLS):
        _expect_rows(lost, range(1, 2))
    case.result_of(executor, case.chunk(status=ProbeStatus.TIMED))


def check_patient_timeout(case: ExecutorCase) -> None:
    """Check that a step that looks at `run.stopping` may return once its time is up."""
    chunk = case.chunk([Act.AWAIT_STOP], status=ProbeStatus.TIMED)
    expect_outcomes(case.result_of(case.open(), chunk), [Outcome.ADVANCED])


def check_memory(case: ExecutorCase) -> None:
    """Check that a call that wants more memory than the limit fails by itself."""
    executor = case.open(worker_memory_limit=_MEMORY_LIMIT)
    result = case.result_of(executor, case.chunk([Act.ADVANCE, Act.EAT_MEMORY, Act.ADVANCE]))
    expect_outcomes(result, [Outcome.ADVANCED, Outcome.FAILED, Outcome.ADVANCED])
    types = result.failures["type"].to_pylist()
    expect(types == ["MemoryError"], f"The failure is {types}.")


def _hanging(case: ExecutorCase, acts: list[Act], status: ProbeStatus) -> Chunk:
    return case.chunk(acts, text=str(_heartbeat(case)), status=status)


def _heartbeat(case: ExecutorCase) -> Path:
    return case.folder / "heartbeat"


def _check_ended(case: ExecutorCase, executor: Executor, end: Callable[[], None]) -> None:
    case.await_slot(executor)
    executor.submit(_hanging(case, [Act.HANG], ProbeStatus.ROW))
    _await_beat(case, "A submitted chunk wasn't executed.")
    end()
    ended_at = _beats(case)
    time.sleep(_STILL_SECONDS)
    expect(_beats(case) == ended_at, "The step is still running.")


def _beats(case: ExecutorCase) -> str:
    file = _heartbeat(case)
    return file.read_text() if file.exists() else ""


def _await_beat(case: ExecutorCase, message: str) -> None:
    deadline = time.monotonic() + case.patience_seconds
    while not _beats(case):
        expect(time.monotonic() < deadline, message)
        time.sleep(0.01)


def _expect_blamed(lost: LostChunk, error_type: str) -> None:
    found = (lost.blamed, lost.error_type)
    expect(found == (True, error_type), f"Expected a blamed chunk and {error_type}: {lost}")
    expect(lost.cause, f"The cause isn't stated: {lost}")


def _expect_rows(found: Any, rows: range) -> None:
    lost = expect_kind(found, LostChunk)
    expect(lost.rows == rows, f"Expected the rows {rows}, found {lost.rows}.")


def _expect_code_error(attempt: Callable[[], object], step: str) -> None:
    try:
        # A worker that ends while it loads code may lose a few chunks before that is known.
        for _ in range(_ATTEMPTS):
            attempt()
    except StepCodeError as error:
        expect(step in str(error), f"The error doesn't name step {step!r}: {error}")
    else:
        raise ExecutorContractError("Code that can't be loaded raised no StepCodeError.")
