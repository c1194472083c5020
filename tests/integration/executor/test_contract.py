"""The executors keep the contract, and the contract's report leaves no rule out."""

from __future__ import annotations

import sys

import pytest
from varying_executor import VaryingExecutor, VaryingThreads

import batchflow as bf
from batchflow import testing
from batchflow.executor import Capability

CHANGES = testing.WorkerChanges(
    add=VaryingExecutor.add_worker,
    remove=VaryingExecutor.remove_worker,
    expect_none=VaryingExecutor.expect_none,
)
CONTRACTS = {
    "inline": testing.executor_contract(bf.Inline()),
    "one process": testing.executor_contract(bf.ProcessPool(1)),
    "two processes": testing.executor_contract(bf.ProcessPool(2)),
    "varying threads": testing.executor_contract(VaryingThreads(), changes=CHANGES),
}
# A pool of two processes keeps all rules; these depend on whether another worker is there to go on.
RULES_FOR_ONE_PROCESS = {
    "abandon_running",
    "close_running",
    "dying_suspect",
    "dying_worker",
    "isolation",
    "order",
    "patient_timeout",
    "resources",
    "slots",
    "stop",
    "suspects",
    "timeout",
    "wake",
}
CASES = [
    pytest.param(check, id=f"{name}-{check}")
    for name, contract in CONTRACTS.items()
    for check in contract.checks
    if name != "one process" or check.name in RULES_FOR_ONE_PROCESS
]
PROCESS_RULES = {
    "abandon_running",
    "close_running",
    "dying_suspect",
    "dying_worker",
    "isolation",
    "memory",
    "named_part",
    "named_row",
    "patient_timeout",
    "timeout",
    "unloadable_code",
    "unsendable_code",
}
VARYING_RULES = {"late_workers", "lost_worker", "more_workers", "no_more_workers"}
UNCLAIMED = {
    "inline": PROCESS_RULES | VARYING_RULES,
    "one process": VARYING_RULES | {"interrupt"},
    "two processes": VARYING_RULES | {"interrupt"},
    "varying threads": PROCESS_RULES | {"interrupt"},
}


@pytest.mark.parametrize("check", CASES)
def test_executors_keep_the_contract(check: testing.ContractCheck) -> None:
    check.run()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, no pool limits memory")
@pytest.mark.parametrize("name", CONTRACTS)
def test_rules_about_capabilities_that_are_not_claimed_are_reported(name: str) -> None:
    unclaimed = {check.name for check in CONTRACTS[name].unclaimed}

    assert unclaimed == UNCLAIMED[name]


def test_each_rule_is_either_checked_or_reported_as_unclaimed() -> None:
    names = [
        {check.name for check in (*contract.checks, *contract.unclaimed)}
        for contract in CONTRACTS.values()
    ]

    assert all(each == names[0] for each in names)
    assert all(check.description.endswith(".") for check in CONTRACTS["inline"].checks)


def test_each_capability_has_a_rule() -> None:
    needed = {one for check in CONTRACTS["inline"].unclaimed for one in check.missing}

    assert needed | bf.Inline().capabilities == set(Capability)


def test_the_changes_of_workers_are_required_where_workers_vary_and_only_there() -> None:
    with pytest.raises(bf.InvalidOptionError, match="this one claims it"):
        testing.executor_contract(VaryingThreads())
    with pytest.raises(bf.InvalidOptionError, match="this one does not claim it"):
        testing.executor_contract(bf.Inline(), changes=CHANGES)
