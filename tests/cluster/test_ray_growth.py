"""Nodes are added while there is much work, and released when there is none."""

from __future__ import annotations

import importlib.util
import logging
import secrets
import time
from pathlib import Path

import pytest
from growing_cluster import GrowingCluster
from ray_kit import RayCluster, actors, await_true

import batchflow as bf
from kit.things import Stage, Thing, finish, load, things


def take_long(run: bf.Run[Thing, Stage]) -> Stage:
    time.sleep(0.5)
    return Stage.DONE


def test_nodes_follow_the_work(ray_cluster: RayCluster, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "batchflow")
    executor = bf.RayExecutor(nodes=(1, 2), idle_seconds=1.0)
    workflow = things(take_long, chunk_rows=1)
    with bf.Engine(":memory:", workflow, executor=executor) as engine:
        load(engine, 1_000)
        engine.start()
        await_true(lambda: len(actors()) == 2)
        joined = [record for record in caplog.records if "has joined" in record.message]
        engine.stop()
        assert len(joined) <= 2
        await_true(lambda: len(actors()) == 1)


def test_a_machine_that_does_not_exist_yet_is_requested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray isn't installed")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(16))
    cluster = GrowingCluster(tmp_path)
    try:
        executor = bf.RayExecutor(cluster.address, nodes=(0, 2), wait_seconds=80.0)
        with bf.Engine(":memory:", things(finish), executor=executor) as engine:
            load(engine, 100)
            assert engine.run().outcome("advanced") == 100
    finally:
        cluster.close()
