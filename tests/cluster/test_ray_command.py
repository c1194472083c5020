"""``batchflow run --executor ray`` sends the code to the nodes, and keeps its signals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from ray_kit import RayCluster, actors, await_true

import batchflow as bf

PIPELINE = """
import enum, time
from dataclasses import dataclass
import batchflow as bf

class Stage(enum.Enum):
    NEW = 1
    DONE = 2

@dataclass
class Thing:
    number: int = 0
    file: str = ""

slow_things = bf.Workflow("things", Thing, Stage)

@slow_things.step(Stage.NEW, to=Stage.DONE)
def finish(run):
    time.sleep(0.02)
    run.object.file = __file__
    return Stage.DONE
"""
RUNS = 300


def command(folder: Path, *options: str) -> subprocess.Popen[str]:
    arguments = ["run", "slow_pipeline.py:slow_things", "--store", "things.duckdb", "--json"]
    ray = ["--executor", "ray", "--nodes", "2", "--send-code", "code"]
    return subprocess.Popen(
        [sys.executable, "-m", "batchflow", *arguments, *ray, *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_signal_ends_the_command_as_with_a_local_pool(
    ray_cluster: RayCluster, tmp_path: Path
) -> None:
    (tmp_path / "code").mkdir()
    for folder in (tmp_path, tmp_path / "code"):
        (folder / "slow_pipeline.py").write_text(PIPELINE)
    source = f"SELECT range AS number FROM range({RUNS})"

    stopped = command(tmp_path, "--load", source, "--foreign-id", "number")
    await_true(lambda: len(actors()) == 2)
    stopped.send_signal(signal.SIGTERM)
    document = json.loads(stopped.communicate(timeout=60)[0])
    assert stopped.returncode == 143
    assert document["load"]["loaded"] == RUNS
    await_true(lambda: not actors())

    again = command(tmp_path)
    errors = again.communicate(timeout=90)[1]
    assert again.returncode == 0, errors
    with bf.connect(tmp_path / "things.duckdb") as store:
        files = dict(store.runs().aggregate("file, count(*)").fetchall())
    assert sum(files.values()) == RUNS
    assert all("runtime_resources" in file for file in files), files
