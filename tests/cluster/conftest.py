"""A real Ray cluster on this machine, for all tests of this directory."""

from __future__ import annotations

import importlib.util
import secrets
from collections.abc import Iterator

import pytest
from ray_kit import RayCluster


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RayCluster]:
    """Start a cluster of three nodes with token authentication, which RAY_ADDRESS names."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray isn't installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(16))
        cluster = RayCluster({"RAY_USAGE_STATS_ENABLED": "0"})
        patch.setenv("RAY_ADDRESS", cluster.address)
        try:
            cluster.add_node()
            cluster.add_node()
            yield cluster
        finally:
            cluster.close()
