"""Whatever a step does to its process, the drain ends, its neighbours are done, and it is named."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from sabotage_kit import Job, jobs

import batchflow as bf
from batchflow.testing import Sabotage

# `make sabotage` sets it.
ROUNDS = int(os.environ.get("BATCHFLOW_SABOTAGE", "1"))
NEIGHBOURS = 24
MOST_SECONDS = 90

# The result of the step arrives after these, too.
HARMLESS = {
    Sabotage.TRUNCATES_FILES,
    Sabotage.STOPS_WORKER,
    Sabotage.STOPS_FORK_SERVER,
    Sabotage.RETURNS_IN_CHILD,
    Sabotage.EXITS_LATER,
    Sabotage.LIMITS_FILE_SIZE,
}
KINDS = [{}, {"batch": True}, {"threads": 2}]


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_drain_ends_whatever_its_steps_do_to_their_workers(seed: int) -> None:
    hows = [how.name for how in Sabotage] + ["nothing"] * NEIGHBOURS
    random.Random(seed).shuffle(hows)
    workflow = jobs(chunk_rows=4, **KINDS[seed % len(KINDS)])
    began = time.monotonic()
    with bf.Engine(":memory:", workflow, workers=2) as engine:
        engine.trigger_many([Job(how, place) for place, how in enumerate(hows)], foreign_id="place")
        engine.run()
        left = engine.runs("status <> 'DONE'").select("how, run_state::VARCHAR").fetchall()
        errors = engine.errors().select("type, count").fetchall()

    expected = {how.name for how in Sabotage} - {how.name for how in HARMLESS}
    assert sorted(left) == [(how, "PAUSED") for how in sorted(expected)]
    assert {type_ for type_, _ in errors} == {"WorkerDied"}
    assert sum(count for _, count in errors) == len(expected)
    assert time.monotonic() - began < MOST_SECONDS


def test_a_drain_ends_although_a_step_broke_a_builtin_for_the_threads_beside_it() -> None:
    hows = [*["nothing"] * 3, Sabotage.BREAKS_BUILTIN.name, *["nothing"] * 4]
    workflow = jobs(threads=2)
    with bf.Engine(":memory:", workflow, workers=1) as engine:
        engine.trigger_many([Job(how, place) for place, how in enumerate(hows)], foreign_id="place")
        engine.run()
        left = engine.runs("status <> 'DONE'").select("place, run_state::VARCHAR").fetchall()

    assert left == [(3, "PAUSED")]


def test_a_fork_server_that_is_killed_again_and_again_fails_only_the_runs_that_do_it() -> None:
    hows = ["nothing", Sabotage.KILLS_FORK_SERVER.name] * 3
    with bf.Engine(":memory:", jobs(chunk_rows=2), workers=2) as engine:
        engine.trigger_many([Job(how, place) for place, how in enumerate(hows)], foreign_id="place")
        engine.run()
        left = engine.runs("status <> 'DONE'").select("place, run_state::VARCHAR").fetchall()
        [(message,)] = engine.errors().select("message").fetchall()

    assert sorted(left) == [(place, "PAUSED") for place in (1, 3, 5)]
    assert message.startswith("the fork server, the process that starts workers, ended")


def test_a_run_whose_result_crashes_its_worker_after_the_call_fails_alone() -> None:
    def step(batch: bf.Batch[Job, object]) -> object:
        import pyarrow as pa

        if 5 in batch["place"]:
            # As of a native library: a column whose memory isn't there.
            missing = pa.foreign_buffer(0x1000, 8 * len(batch))
            batch["place"] = pa.Array.from_buffers(pa.int64(), len(batch), [None, missing])
        return stages.SECOND

    import sabotage_kit

    stages = sabotage_kit.Stage
    workflow = bf.Workflow("jobs", Job, stages, retry=bf.Retry(pause_after=1))
    workflow.add_step(stages.FIRST, step, stages.SECOND, batch=True)
    with bf.Engine(":memory:", workflow, workers=2) as engine:
        engine.trigger_many([Job("", place) for place in range(20)], foreign_id="place")
        engine.run()
        left = engine.runs("status <> 'SECOND'").select("place, run_state::VARCHAR").fetchall()
        errors = engine.errors().select("type, count, message").fetchall()

    assert left == [(5, "PAUSED")]
    assert errors == [("WorkerDied", 1, "its worker was ended by signal 11 (SIGSEGV)")]


def test_processes_that_a_step_left_behind_end_with_its_worker(tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    def step(run: bf.Run[Job, object]) -> object:
        import subprocess

        if run.object.place == 1:
            for session in (False, True):
                child = subprocess.Popen(["sleep", "300"], start_new_session=session)
                with pids.open("a") as file:
                    file.write(f"{child.pid}\n")
            os.system("sleep 300 &")
            os._exit(1)
        return stages.SECOND

    import sabotage_kit

    stages = sabotage_kit.Stage
    workflow = bf.Workflow("jobs", Job, stages, retry=bf.Retry(pause_after=1))
    workflow.add_step(stages.FIRST, step, stages.SECOND)
    with bf.Engine(":memory:", workflow, workers=1) as engine:
        engine.trigger_many([Job("", place) for place in range(3)], foreign_id="place")
        engine.run()
        left = engine.runs("status <> 'SECOND'").select("place").fetchall()

    assert left == [(1,)]
    assert not [pid for pid in pids.read_text().split() if _is_running(pid)]


def _is_running(pid: str) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
