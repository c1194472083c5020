"""A node with hostile code affects only its own chunks, and one with other code isn't used."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from ray_kit import RayCluster

import batchflow as bf
from kit.things import load, things

RUNS = 3_000

# A node imports the module of a workflow into the process of its actor, so this code owns the node.
# Only the first node is hostile.
HOSTILE = """
import os, sys
from kit.things import Stage

FOLDER = {folder!r}

def finish(run):
    return Stage.DONE

def first():
    try:
        os.close(os.open(f"{{FOLDER}}/hostile", os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False

class Pickle:
    def __reduce__(self):
        return open, (f"{{FOLDER}}/executed", "w")

async def give_pickle(self):
    return Pickle()

async def give_noise(self):
    return os.urandom(1_000)

async def give_a_number(self):
    return 5

async def give_much(self):
    return bytes(20_000_000)

async def raise_pickle(self):
    raise ValueError(Pickle())

ray_node = sys.modules.get("batchflow.executor.ray.ray_node")
if ray_node is not None and "ray" in sys.modules and first():
    # Ray keeps the method, so its code is replaced.
    ray_node.RayNode.news.__code__ = {reply}.__code__
    ray_node.os, ray_node.Pickle = os, Pickle
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a module that doesn't exist yet, and that no process has imported."""
    monkeypatch.syspath_prepend(tmp_path)
    return f"steps_of_{tmp_path.name}"


class ShortOfMemory(bf.RayExecutor):
    """Takes replies of 8 MiB."""

    transit_bytes = 16 * 1024 * 1024


@pytest.mark.parametrize(
    "reply", ["give_pickle", "give_noise", "give_a_number", "give_much", "raise_pickle"]
)
def test_a_node_that_sends_something_else_is_not_used_any_more(
    ray_cluster: RayCluster,
    tmp_path: Path,
    module: str,
    reply: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / f"{module}.py").write_text(HOSTILE.format(folder=str(tmp_path), reply=reply))
    steps: Any = importlib.import_module(module)
    executor = ShortOfMemory(nodes=2, wait_seconds=60)
    with bf.Engine(":memory:", things(steps.finish), executor=executor) as engine:
        load(engine, RUNS)
        report = engine.run()

        assert (tmp_path / "hostile").exists()
        assert not (tmp_path / "executed").exists()
        assert report.outcome("advanced") == RUNS
        assert not engine.errors().fetchall()
    actions = {getattr(record, "action", "") for record in caplog.records}
    assert actions & {"drop_node", "lose_node"}
    assert ("its reply has 20MB, and at most 8.39MB are taken" in caplog.text) == (
        reply == "give_much"
    )


def test_a_node_with_other_code_ends_the_drain(
    ray_cluster: RayCluster, tmp_path: Path, module: str
) -> None:
    source = "from kit.things import Stage\ndef finish(run):\n    return Stage.DONE\n"
    (tmp_path / f"{module}.py").write_text(source)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / f"{module}.py").write_text(source + "# another version\n")

    steps: Any = importlib.import_module(module)
    with pytest.raises(bf.EngineStateError, match=f"has other code than this process in {module}"):
        drain_with_path(steps.finish, elsewhere)


def test_a_node_with_another_version_ends_the_drain(
    ray_cluster: RayCluster, tmp_path: Path, module: str
) -> None:
    (tmp_path / "pyarrow-1.2.3.dist-info").mkdir()
    (tmp_path / "pyarrow-1.2.3.dist-info" / "METADATA").write_text(
        "Version: 1.2.3\nName: pyarrow\n"
    )
    sys.path.remove(str(tmp_path))

    with pytest.raises(
        bf.EngineStateError, match=r"has pyarrow 1\.2\.3, and this process has pyarrow "
    ):
        drain_with_path(finish_here, tmp_path)


def finish_here(run: Any) -> Any:
    raise NotImplementedError


def drain_with_path(step: Any, folder: Path) -> None:
    environment = {"env_vars": {"PYTHONPATH": str(folder)}}
    executor = bf.RayExecutor(nodes=1, wait_seconds=60, runtime_env=environment)
    with bf.Engine(":memory:", things(step), executor=executor) as engine:
        load(engine, RUNS)
        try:
            engine.run()
        finally:
            assert len(engine.runs("status = 'NEW'")) == RUNS
