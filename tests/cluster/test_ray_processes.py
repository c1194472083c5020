"""The processes of a drain on Ray end with their coordinator, and nodes may start late."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cluster_steps import take_a_while
from ray_kit import RayCluster, actors, await_true, command_of, descendants, ending_of

import batchflow as bf
from kit.things import finish, load, things

RUNS = 400
ENGINE = """
import sys
import batchflow as bf
from cluster_steps import take_a_while
from kit.things import load, things

with bf.Engine(sys.argv[1], things(take_a_while), executor=bf.RayExecutor(nodes=2)) as engine:
    load(engine, {runs})
    engine.run()
"""


def test_a_killed_coordinator_leaves_no_process_and_loses_nothing(
    ray_cluster: RayCluster, path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    coordinator = subprocess.Popen(
        [sys.executable, "-c", ENGINE.format(runs=RUNS), str(path)], env=environment
    )
    await_true(lambda: len(actors()) == 2)
    pids = [
        *descendants(coordinator.pid),
        *(pid for actor in actors() for pid in descendants(actor)),
    ]
    await_true(lambda: Path(path).stat().st_size > 0)
    coordinator.kill()
    coordinator.wait()

    await_true(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids) and not actors())
    with bf.Engine(path, things(take_a_while), executor=bf.RayExecutor(nodes=2)) as engine:
        engine.run()
        ending = ending_of(engine)
    assert len(ending.runs) == RUNS
    assert {run[-1] for run in ending.runs.values()} == set(range(1_000, 1_000 + RUNS))


def test_a_killed_driver_is_replaced_and_nothing_is_lost(
    ray_cluster: RayCluster, caplog: pytest.LogCaptureFixture
) -> None:
    with bf.Engine(":memory:", things(take_a_while), executor=bf.RayExecutor(nodes=2)) as engine:
        load(engine, RUNS)
        engine.start()
        await_true(lambda: len(engine.runs("status = 'DONE'")) > 0)
        os.kill(driver(), signal.SIGKILL)
        await_true(lambda: len(engine.runs("status = 'DONE'")) == RUNS)
        engine.stop()
        assert not engine.errors().fetchall()
    assert "restart_ray_driver" in actions(caplog)


def driver() -> int:
    """Return the process of this one that talks to Ray."""
    return next(pid for pid in descendants(os.getpid()) if "ray.driver" in command_of(pid))


def test_a_drain_waits_for_nodes_that_start_late(
    ray_cluster: RayCluster, caplog: pytest.LogCaptureFixture
) -> None:
    with bf.Engine(":memory:", things(finish), executor=bf.RayExecutor(nodes=3)) as holder:
        load(holder, 1)
        holder.start()
        await_true(lambda: len(actors()) == 3)
        with bf.Engine(":memory:", things(finish), executor=bf.RayExecutor(nodes=1)) as engine:
            load(engine, RUNS)
            engine.start()
            await_true(lambda: "await_node" in actions(caplog))
            holder.stop()
            holder.close()
            await_true(lambda: len(engine.runs("status = 'DONE'")) == RUNS)
            engine.stop()


def test_a_drain_without_nodes_may_have_a_limit(ray_cluster: RayCluster) -> None:
    with bf.Engine(":memory:", things(finish), executor=bf.RayExecutor(nodes=3)) as holder:
        load(holder, 1)
        holder.start()
        await_true(lambda: len(actors()) == 3)
        executor = bf.RayExecutor(nodes=1, wait_seconds=1.0)
        with bf.Engine(":memory:", things(finish), executor=executor) as engine:
            load(engine, RUNS)
            with pytest.raises(bf.EngineStateError, match="No worker is left"):
                engine.run()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "auto"])
def test_a_cluster_that_does_not_exist_is_an_error(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    executor = bf.RayExecutor(address=address)
    with bf.Engine(":memory:", things(finish), executor=executor) as engine:
        load(engine, 1)
        with pytest.raises(bf.EngineStateError, match="can't be used"):
            engine.run()


def actions(caplog: pytest.LogCaptureFixture) -> set[str]:
    return {getattr(record, "action", "") for record in caplog.records}
