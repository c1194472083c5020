"""Each check of the contract fails for an executor that breaks its rule."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import broken_executors as broken
import pytest
from broken_executors import Broken
from varying_executor import VaryingThreads

import batchflow as bf
from batchflow import testing
from batchflow.executor import Capability

INLINE, POOL, VARYING = bf.Inline(), bf.ProcessPool(1), VaryingThreads()
CHANGES = testing.WorkerChanges(
    add=lambda executor: executor.add_worker(),
    remove=lambda executor: executor.remove_worker(),
    expect_none=lambda executor: executor.expect_none(),
)

# The check, the executor that fails it, and why it fails.
BROKEN: list[tuple[str, Any, str]] = [
    ("results", Broken(INLINE, broken.DropsFailures), r"The failures are \[\]"),
    ("order", Broken(INLINE, broken.MixesUpResults), "of another chunk"),
    ("order", Broken(INLINE, broken.ReturnsTwice), "returned twice"),
    ("slots", Broken(INLINE, broken.AlwaysHasASlot), "1 slots before and after"),
    ("large_chunks", Broken(INLINE, broken.CutsLargeChunks), "The result has 10000 runs"),
    ("suspects", Broken(INLINE, broken.DropsSuspects), "1 of 1 chunks weren't returned"),
    ("time_to_wait", Broken(INLINE, broken.NeverWaits), r"It returned \d+ times"),
    ("wake", Broken(INLINE, broken.IgnoresWake), "in spite of wake"),
    ("stop", Broken(INLINE, broken.StopsForGood), r"found \['ADVANCED', 'RETURNED', 'RETURNED'\]"),
    ("abandon", Broken(INLINE, broken.NeverAbandons), "A chunk was returned unexpectedly"),
    (
        "resources",
        Broken(INLINE, broken.OpensResourcesForEachChunk),
        "1 workers opened 20 resources",
    ),
    ("resources", Broken(INLINE, broken.NeverCloses), "still open after close"),
    ("failing_resource", Broken(INLINE, broken.HidesErrors), "1 of 1 chunks weren't returned"),
    ("interrupt_elsewhere", Broken(INLINE, broken.InterruptsAlways), "no step was executed"),
    ("close_twice", Broken(INLINE, broken.ClosesOnce), "closed before"),
    ("dying_worker", Broken(POOL, broken.BlamesNone), "Expected a blamed chunk"),
    ("dying_worker", Broken(POOL, broken.BlamesAll), "wasn't executing is blamed"),
    (
        "isolation",
        Broken(POOL, broken.SharesWorkersWithSuspects),
        "executed suspect chunks and others",
    ),
    ("dying_suspect", Broken(POOL, broken.LosesChunks), "1 of 1 chunks weren't returned"),
    ("abandon_running", Broken(POOL, broken.NeverAbandons), "still running"),
    ("close_running", Broken(POOL, broken.NeverCloses), "still running"),
    ("unloadable_code", Broken(POOL, broken.HidesErrors), "1 of 1 chunks weren't returned"),
    ("unsendable_code", broken.InlineAsPool(), "raised no StepCodeError"),
    ("named_row", Broken(POOL, broken.NamesNoRows), "found None"),
    ("named_part", Broken(POOL, broken.NamesAllRows), r"found range\(0, 10\)"),
    ("timeout", Broken(POOL, broken.ReportsNoTimeouts), "and StepTimeout: LostChunk"),
    ("patient_timeout", Broken(POOL, broken.LosesResults), "Expected a ChunkResult"),
    ("memory", broken.UnlimitedPool(), r"found \['ADVANCED', 'ADVANCED', 'ADVANCED'\]"),
    ("interrupt", Broken(INLINE, broken.NeverInterrupts), "didn't raise KeyboardInterrupt"),
    ("late_workers", Broken(VARYING, broken.ExpectsNoWorkers), "expects_workers is false"),
    ("late_workers", Broken(VARYING, broken.AddsSilently), "`completed` didn't return"),
    ("lost_worker", Broken(VARYING, broken.LosesChunks), "1 of 1 chunks weren't returned"),
    ("more_workers", Broken(VARYING, broken.CountsOneWorker), "There are 2 workers"),
    (
        "no_more_workers",
        Broken(VARYING, broken.ExpectsWorkersForEver),
        "expects_workers stays true",
    ),
]
# A check finds these by waiting for what doesn't come, and any other as late as it has to.
ABSENT = re.compile("weren't returned|in spite of wake|still open|didn't return|2 workers$|stays")
IDS = [f"{name}-{getattr(each, 'wrapper', type(each)).__name__}" for name, each, _ in BROKEN]


@pytest.fixture(autouse=True)
def inner_executors() -> Iterator[None]:
    yield
    while broken.OPENED:
        broken.OPENED.pop().close()


def contract_of(factory: Any, patience_seconds: float = 60.0) -> testing.ExecutorContract:
    varies = Capability.VARIES_WORKERS in factory.capabilities
    return testing.executor_contract(
        factory, changes=CHANGES if varies else None, patience_seconds=patience_seconds
    )


@pytest.mark.parametrize(("name", "factory", "reason"), BROKEN, ids=IDS)
def test_a_check_fails_for_an_executor_that_breaks_its_rule(
    name: str, factory: Any, reason: str
) -> None:
    contract = contract_of(factory, 0.5 if ABSENT.search(reason) else 60.0)
    [check] = [check for check in contract.checks if check.name == name]
    expected = RuntimeError if name == "close_twice" else testing.ExecutorContractError

    with pytest.raises(expected, match=reason):
        check.run()


def test_each_check_can_fail() -> None:
    contract = contract_of(INLINE)
    checks = {check.name for check in (*contract.checks, *contract.unclaimed)}

    assert {name for name, _, _ in BROKEN} == checks


def test_a_report_has_what_passed_what_failed_and_what_is_not_claimed() -> None:
    contract = contract_of(Broken(INLINE, broken.AlwaysHasASlot))
    few = testing.ExecutorContract(
        checks=tuple(check for check in contract.checks if check.name in ("results", "slots")),
        unclaimed=tuple(check for check in contract.unclaimed if check.name == "timeout"),
    )

    report = few.run()

    assert report.passed == ("results",)
    assert report.failed.keys() == {"slots"}
    assert report.unclaimed == {"timeout": {Capability.ENFORCES_TIMEOUTS}}
    assert str(report).splitlines() == [
        "passed     results",
        "FAILED     slots: There were 1 slots before and after a submit.",
        "unclaimed  timeout: it needs ENFORCES_TIMEOUTS",
    ]
