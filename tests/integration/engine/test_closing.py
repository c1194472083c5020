"""Starting, stopping and closing: in any order, from any thread, and after an error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import batchflow as bf
from batchflow import crash_point
from kit.things import Stage, Thing, finish, load, things


class Door:
    """A resource that records that it was closed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def close(self) -> None:
        self.path.write_text("closed")


@pytest.fixture(params=[0, 1], ids=["inline", "pool"])
def workers(request: pytest.FixtureRequest) -> int:
    count: int = request.param
    return count


@pytest.fixture
def open_engine(tmp_path: Path, workers: int) -> Iterator[Callable[..., bf.Engine]]:
    opened: list[bf.Engine] = []

    def open_it(function: Callable[..., Any] = finish, **resources: Any) -> bf.Engine:
        workflow = things(function, resources=resources, chunk_rows=1)
        opened.append(bf.Engine(tmp_path / "things.duckdb", workflow, workers=workers))
        return opened[-1]

    yield open_it
    for engine in opened:
        engine.close()


@pytest.fixture(scope="module", params=[0, 1], ids=["inline", "pool"])
def closed_engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[bf.Engine, uuid.UUID]:
    """Return an engine that is closed, and the id of its run."""
    path = tmp_path_factory.mktemp("closed") / "things.duckdb"
    engine = bf.Engine(path, things(), workers=request.param)
    run_id = engine.trigger("one", Thing())
    engine.close()
    engine.close()
    engine.stop()
    return engine, run_id


@pytest.mark.parametrize(
    "use",
    [
        lambda engine, run_id: engine.run(),
        lambda engine, run_id: engine.start(),
        lambda engine, run_id: engine.trigger("a", Thing()),
        lambda engine, run_id: engine.trigger_many([Thing()], foreign_id="number"),
        lambda engine, run_id: engine.wait(run_id, Stage.DONE),
        lambda engine, run_id: engine.pause("true"),
        lambda engine, run_id: engine.sql("SELECT 1").fetchall(),
        lambda engine, run_id: engine.counts().fetchall(),
        lambda engine, run_id: engine.get(run_id),
    ],
    ids=["run", "start", "trigger", "trigger_many", "wait", "pause", "sql", "counts", "get"],
)
def test_a_closed_engine_raises_store_closed_error(
    closed_engine: tuple[bf.Engine, uuid.UUID], use: Callable[[bf.Engine, uuid.UUID], object]
) -> None:
    engine, run_id = closed_engine

    with pytest.raises(bf.StoreClosedError):
        use(engine, run_id)


def test_closing_gracefully_ends_a_run_in_another_thread(
    open_engine: Callable[..., bf.Engine], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    def patient(run: bf.Run[Thing, Stage]) -> Stage:
        if run.object.number == 0:
            gate.write_text("in step")
        while not run.stopping:
            os.sched_yield()
        return Stage.DONE

    engine = open_engine(patient)
    load(engine, 10)
    reports: list[bf.Report] = []
    running = threading.Thread(target=lambda: reports.append(engine.run()))
    running.start()
    assert gate.read_text() == "in step"
    engine.close()
    running.join()

    assert 1 <= reports[0].outcome("advanced") < 10


def test_resources_and_workers_outlive_a_stop_and_end_with_the_engine(
    open_engine: Callable[..., bf.Engine], tmp_path: Path
) -> None:
    door = tmp_path / "door"

    def through(run: bf.Run[Thing, Stage]) -> Stage:
        assert run.resources["door"]
        run.object.number = os.getpid()
        return Stage.DONE

    engine = open_engine(through, door=lambda: Door(door))
    pids = []
    for name in "ab":
        engine.start()
        run = engine.wait(engine.trigger(name, Thing()), Stage.DONE, timeout_seconds=60)
        engine.stop()
        pids.append(run.object.number)
        assert not door.exists()
    engine.close()

    assert pids[0] == pids[1]
    assert door.read_text() == "closed"


def test_the_error_that_ends_the_coordinator_is_raised_by_wait_and_stop(
    open_engine: Callable[..., bf.Engine], tmp_path: Path
) -> None:
    key = tmp_path / "key"
    engine = open_engine(finish, door=key.open)
    engine.start()
    run_id = engine.trigger("a", Thing())
    with pytest.raises(bf.ResourceError, match="door"):
        engine.wait(run_id, Stage.DONE, timeout_seconds=60)
    with pytest.raises(bf.ResourceError, match="door"):
        engine.stop()
    key.touch()

    assert engine.run().outcome("advanced") == 1


def test_a_run_that_failed_as_a_whole_can_be_repeated(
    open_engine: Callable[..., bf.Engine], tmp_path: Path
) -> None:
    key = tmp_path / "key"
    engine = open_engine(finish, door=key.open)
    engine.trigger("a", Thing())
    for _ in range(2):
        with pytest.raises(bf.ResourceError, match="door"):
            engine.run()
    key.touch()

    assert engine.run().outcome("advanced") == 1


def test_threads_that_start_and_stop_at_once_leave_an_engine_that_runs(
    open_engine: Callable[..., bf.Engine],
) -> None:
    engine = open_engine()
    failures: list[BaseException] = []

    def hammer() -> None:
        try:
            for _ in range(20):
                try:
                    engine.start()
                except bf.EngineStateError:
                    engine.stop()
        except BaseException as error:
            failures.append(error)

    hammers = [threading.Thread(target=hammer) for _ in range(4)]
    for each in hammers:
        each.start()
    for each in hammers:
        each.join()
    engine.stop()
    engine.trigger("a", Thing())

    assert failures == []
    while True:
        try:
            assert engine.run().outcome("advanced") == 1
            break
        except bf.EngineStateError:
            engine.stop()


def test_many_runs_leak_no_descriptor_and_no_thread(
    open_engine: Callable[..., bf.Engine],
) -> None:
    engine = open_engine()
    seen = []
    for number in range(15):
        engine.trigger(str(number), Thing())
        engine.run()
        if number > 1:
            seen.append((len(os.listdir("/dev/fd")), threading.active_count()))

    # Libraries that other tests have used, like gRPC, may open or close a few of their own.
    for counted in zip(*seen, strict=True):
        assert max(counted) - min(counted) < 10


def test_a_script_that_forgets_to_close_ends_silently(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import enum\nfrom dataclasses import dataclass\nimport batchflow as bf\n\n\n"
        "class Stage(enum.Enum):\n    NEW = 1\n    DONE = 2\n\n\n"
        "@dataclass\nclass Thing:\n    number: int = 0\n\n\n"
        "things = bf.Workflow('things', Thing, Stage)\n"
        "things.add_step(Stage.NEW, lambda run: Stage.DONE, Stage.DONE)\n"
        "engine = bf.Engine('things.duckdb', things, workers=1)\n"
        "engine.start()\n"
        "run_id = engine.trigger('a', Thing())\n"
        "print(engine.wait(run_id, Stage.DONE).status.name, flush=True)\n"
    )
    ended = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stdout) == (0, "DONE\n")
    assert "Traceback" not in ended.stderr


def test_a_script_that_fails_while_a_coordinator_is_running_ends_cleanly(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import enum\nimport sys\nimport time\nfrom dataclasses import dataclass\n"
        "import batchflow as bf\n\n\n"
        "class Stage(enum.Enum):\n    NEW = 1\n    DONE = 2\n\n\n"
        "@dataclass\nclass Thing:\n    number: int = 0\n\n\n"
        "things = bf.Workflow('things', Thing, Stage)\n"
        "things.add_step(Stage.NEW, lambda run: run.repeat(), Stage.DONE)\n"
        "engine = bf.Engine(f'things{sys.argv[1]}.duckdb', things, workers=0)\n"
        "engine.trigger_many([Thing(n) for n in range(300)], foreign_id='number')\n"
        "engine.start()\n"
        "while engine.sql('SELECT max(version) FROM things.runs').fetchall() < [(6,)]:\n"
        "    time.sleep(0.01)\n"
        "raise ValueError('of the script')\n"
    )
    # It commits without a pause, so every second end would be within a commit and abort.
    for number in range(3):
        ended = subprocess.run(
            [sys.executable, script, str(number)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

        assert ended.returncode == 1, ended.stderr
        assert ended.stderr.endswith("ValueError: of the script\n")


def test_ctrl_c_while_the_log_is_folded_leaves_the_store_closed(path: Path) -> None:
    def press(point: str) -> None:
        if point == "at_checkpoint":
            crash_point.arm(None)
            signal.raise_signal(signal.SIGINT)

    engine = bf.Engine(path, things(), workers=0)
    load(engine, 3)
    crash_point.arm(press)
    with pytest.raises(KeyboardInterrupt):
        engine.close()

    with bf.Engine(path, things(), workers=0) as engine:
        assert engine.run(progress=False).runs == 3
