"""The coordinator is killed twenty times at random moments, and every run ends where it should."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

import batchflow as bf
from batchflow.testing import inline_engine

KILLS = 20
RUNS = 40_000
LONGEST_LIFE_SECONDS = 0.5
MARK = "BATCHFLOW_CRASH_TEST"

PIPELINE = """
import enum, sys, time
from dataclasses import dataclass

import batchflow as bf


class Stage(enum.Enum):
    NEW = 1
    HALVED = 2
    ODD = 3
    LABELLED = 4
    DONE = 5


@dataclass
class Thing:
    number: int
    half: int = 0
    label: str | None = None
    tags: list[str] | None = None


pause = {pause}
things = bf.Workflow("things", Thing, Stage)


@things.step(Stage.NEW, to=[Stage.HALVED, Stage.ODD], chunk_rows=500)
def halve(run):
    time.sleep(pause)
    if run.object.number % 2:
        return Stage.ODD
    run.object.half += run.object.number // 2
    return Stage.HALVED


@things.batch_step(Stage.HALVED, to=Stage.LABELLED, chunk_rows=500)
def label(batch):
    time.sleep(len(batch) * pause)
    batch["label"] = [f"half is {{half}}" for half in batch["half"]]
    batch["tags"] = [[str(half), "x"] for half in batch["half"]]
    return Stage.LABELLED


things.sql_step(Stage.LABELLED, to=Stage.DONE, set={{"label": "label || '!'"}})


def main(path):
    with bf.Engine(path, things, workers=2) as engine:
        print("running", flush=True)
        engine.run()


if __name__ == "__main__":
    main(sys.argv[1])
"""


def start(pipeline: Path, store: Path, mark: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, str(pipeline), str(store)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, MARK: mark},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    return process


def end(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    process.stdout.close()
    return process.wait()


def marked_processes(mark: str) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if f"{MARK}={mark}".encode() in environment:
            found.append(int(folder.name))
    return found


def load(pipeline: Path, store: Path) -> bf.Workflow:
    sys.path.insert(0, str(pipeline.parent))
    try:
        workflow = __import__(pipeline.stem).things
    finally:
        sys.path.pop(0)
        sys.modules.pop(pipeline.stem)
    with inline_engine(workflow, path=str(store)) as engine:
        engine.trigger_many(
            f"SELECT i AS number FROM range({RUNS}) t(i)", foreign_id="number", at="NEW"
        )
    return workflow


def ended(workflow: bf.Workflow, store: Path) -> tuple[list, list]:
    columns = "foreign_id, status, run_state, version, attempt, number, half, label, tags"
    with inline_engine(workflow, path=str(store)) as engine:
        table = engine.runs().select(columns).order("number").fetchall()
        log = engine.sql(
            "SELECT seq, from_status, to_status, version, outcome FROM things.transitions "
            "ORDER BY seq, version"
        ).fetchall()
    return table, log


@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_every_run_ends_where_an_undisturbed_run_puts_it(tmp_path: Path) -> None:
    chance = random.Random()
    mark = uuid.uuid4().hex
    quick, slow = tmp_path / "quick.py", tmp_path / "slow.py"
    quick.write_text(PIPELINE.format(pause=0))
    slow.write_text(PIPELINE.format(pause=0.0001))
    undisturbed, killed = tmp_path / "undisturbed.duckdb", tmp_path / "killed.duckdb"
    workflow = load(quick, undisturbed)
    load(quick, killed)
    assert end(start(quick, undisturbed, mark)) == 0

    kills = 0
    while kills < KILLS:
        process = start(slow, killed, mark)
        try:
            process.wait(chance.uniform(0, LONGEST_LIFE_SECONDS))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            kills += 1
        assert end(process) == -signal.SIGKILL, "it finished before it was killed often enough"
    deadline = time.monotonic() + 10
    while marked_processes(mark) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert marked_processes(mark) == []
    assert end(start(quick, killed, mark)) == 0

    assert ended(workflow, killed) == ended(workflow, undisturbed)
