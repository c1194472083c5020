"""Nodes are added while there is much work, and released when there is none."""

from __future__ import annotations

import logging
import time

import pytest
from ray_kit import RayCluster, actors, await_true

import batchflow as bf
from kit.things import Stage, Thing, load, things


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
