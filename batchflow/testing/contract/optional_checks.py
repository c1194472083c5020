"""The rules for executors that can be interrupted, and for those whose workers come and go."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator

from batchflow.definition import Outcome
from batchflow.executor import Executor
from batchflow.testing.contract.case import (
    ExecutorCase,
    ExecutorContractError,
    WorkerChanges,
    expect,
    expect_outcomes,
    later,
)
from batchflow.testing.contract.probe import Act

_SOON_SECONDS = 0.3


def check_interrupt(case: ExecutorCase) -> None:
    """Check that `interrupt` breaks into the running step, and that its results are dropped."""
    executor = case.open()
    case.await_slot(executor)
    acts = [Act.SIGNAL, Act.SIGNAL]
    chunk = case.chunk(acts, numbers=[signal.SIGALRM, signal.SIGALRM])
    with _on_alarm(executor.interrupt):
        try:
            executor.submit(chunk)
            case.collected(executor, [chunk])
        except KeyboardInterrupt:
            pass
        else:
            raise ExecutorContractError("interrupt() didn't raise KeyboardInterrupt.")
    executor.abandon()
    executor.start()
    expect(not executor.completed(_SOON_SECONDS), "The result of an interrupted step is returned.")
    expect_outcomes(case.result_of(executor, case.chunk()), [Outcome.ADVANCED] * 3)


def check_late_workers(case: ExecutorCase) -> None:
    """Check that an executor without workers expects some, and wakes up when one appears."""
    executor, changes = _without_workers(case)
    expect(executor.slots == 0, f"There is no worker, and there are {executor.slots} slots.")
    expect(executor.suspect_slots == 0, "There is no worker, and there is a suspect slot.")
    expect(executor.expects_workers, "Workers are to appear, and expects_workers is false.")
    with later(lambda: changes.add(executor)):
        case.await_true(
            executor,
            lambda: executor.slots > 0,
            "A worker appeared, and `completed` didn't return.",
        )
    expect(executor.workers == 1, f"One worker appeared, and workers is {executor.workers}.")
    expect_outcomes(case.result_of(executor, case.chunk()), [Outcome.ADVANCED] * 3)


def check_lost_worker(case: ExecutorCase) -> None:
    """Check that a chunk whose worker leaves is lost, and that a later worker executes others."""
    executor, changes = _without_workers(case)
    changes.add(executor)
    case.await_slot(executor)
    chunk = case.chunk([Act.AWAIT_STOP])
    executor.submit(chunk)
    changes.remove(executor)
    case.collected(executor, [chunk])
    found = (executor.workers, executor.slots)
    expect(found == (0, 0), f"Without workers, workers and slots are {found}.")
    changes.add(executor)
    expect_outcomes(case.result_of(executor, case.chunk()), [Outcome.ADVANCED] * 3)


def check_more_workers(case: ExecutorCase) -> None:
    """Check that the number of workers and of slots follows the workers that there are."""
    executor, changes = _without_workers(case)
    slots = []
    for count in (1, 2, 3):
        changes.add(executor)
        _await_workers(case, executor, count)
        slots.append(executor.slots)
    expect(slots == sorted(set(slots)), f"With 1, 2 and 3 workers there are {slots} slots.")
    changes.remove(executor)
    _await_workers(case, executor, 2)
    expect(executor.slots < slots[2], f"A worker left, and there are {executor.slots} slots.")


def check_no_more_workers(case: ExecutorCase) -> None:
    """Check that, without workers and with none expected, `completed` returns and slots are 0."""
    executor, changes = _without_workers(case)
    with later(lambda: changes.expect_none(executor)):
        case.await_true(
            executor,
            lambda: not executor.expects_workers,
            "No worker is expected any more, and expects_workers stays true.",
        )
    found = (executor.workers, executor.slots, executor.suspect_slots)
    expect(found == (0, 0, 0), f"Without workers, workers and slots are {found}.")


def _without_workers(case: ExecutorCase) -> tuple[Executor, WorkerChanges]:
    assert case.changes is not None
    executor = case.open()
    while executor.workers:
        case.changes.remove(executor)
    return executor, case.changes


def _await_workers(case: ExecutorCase, executor: Executor, count: int) -> None:
    message = f"There are {count} workers, and workers is another number."
    case.await_true(executor, lambda: executor.workers == count, message)


@contextlib.contextmanager
def _on_alarm(function: Callable[[], None]) -> Iterator[None]:
    """Call a function from the handler of SIGALRM; only the main thread can set one."""
    before = signal.signal(signal.SIGALRM, lambda _number, _frame: function())
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)
