"""The executor for Ray keeps the contract on a real cluster."""

from __future__ import annotations

import pytest
from ray_kit import KillableNodes, KillableRay

from batchflow import testing

CHANGES = testing.WorkerChanges(
    add=KillableNodes.add_node,
    remove=KillableNodes.kill_node,
    expect_none=KillableNodes.expect_no_nodes,
)
CONTRACT = testing.executor_contract(
    KillableRay(nodes=(0, 3)), changes=CHANGES, patience_seconds=60.0
)


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("check", CONTRACT.checks, ids=str)
def test_the_executor_for_ray_keeps_the_contract(check: testing.ContractCheck) -> None:
    check.run()
