"""When a process with an engine forks, the child can neither use nor harm the store."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from orders_kit import Order, Stage, is_clean, load, orders, outcome, undisturbed

import batchflow as bf
from kit.kept_executor import KeptExecutor

ROWS = 1_000
REFUSED, UNHARMED, HARMED = 7, 0, 1

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture
def executor(request: pytest.FixtureRequest) -> KeptExecutor:
    return KeptExecutor(getattr(request, "param", bf.ProcessPool(2)))


with_either_executor = pytest.mark.parametrize(
    "executor", [bf.Inline(), bf.ProcessPool(2)], indirect=True, ids=["inline", "pool"]
)


@pytest.fixture
def engine(executor: KeptExecutor, tmp_path: Path) -> Iterator[bf.Engine]:
    """Return an engine that has drained, so that its workers are running."""
    with bf.Engine(tmp_path / "orders.duckdb", orders(), executor=executor) as engine:
        load(engine, ROWS)
        engine.run(limit=300)
        yield engine


def in_child(deed: Callable[[], object]) -> int:
    """Call a function in a forked child that exits normally, and return its exit code."""
    child = os.fork()
    if child == 0:
        code = HARMED
        try:
            deed()
            code = UNHARMED
        except bf.ForkedStoreError:
            code = REFUSED
        finally:
            os._exit(code)
    return exit_code_of(child)


def exit_code_of(child: int) -> int:
    """Wait for a child and return its exit code; a child that hangs is killed."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail("the child hangs")


def assert_unharmed(engine: bf.Engine) -> None:
    """Drain the rest with the same engine, then open another."""
    assert Path(f"{engine.path}.lock").exists()
    with pytest.raises(bf.StoreHeldError):
        bf.Engine(engine.path, orders(), workers=0)
    engine.run()
    assert outcome(engine) == undisturbed(ROWS)
    engine.close()
    assert is_clean(Path(engine.path).parent)
    with bf.Engine(engine.path, orders(), workers=0) as again:
        assert outcome(again) == undisturbed(ROWS)


CALLS: dict[str, Callable[[bf.Engine], object]] = {
    "run": lambda engine: engine.run(),
    "start": lambda engine: engine.start(),
    "trigger": lambda engine: engine.trigger("one", Order(1)),
    "trigger_many": lambda engine: load(engine, 10),
    "sql": lambda engine: engine.sql("SELECT 1").fetchall(),
    "counts": lambda engine: engine.counts().fetchall(),
    "pause": lambda engine: engine.pause("true"),
    "wait": lambda engine: engine.wait("1", Stage.SENT, timeout_seconds=20),
    "get": lambda engine: engine.get("1"),
}


def test_every_call_in_a_child_is_refused(tmp_path: Path) -> None:
    with bf.Engine(tmp_path / "orders.duckdb", orders(), workers=0) as engine:
        ends = {name: in_child(partial(call, engine)) for name, call in CALLS.items()}
        assert ends == dict.fromkeys(CALLS, REFUSED)
        load(engine, ROWS)
        assert_unharmed(engine)


def test_a_child_rehearses_nothing(tmp_path: Path) -> None:
    with bf.Engine(tmp_path / "orders.duckdb", orders(), workers=1) as engine:
        assert in_child(lambda: engine.rehearse("true")) == REFUSED


@pytest.mark.parametrize("deed", ["close", "stop", "__exit__"])
def test_a_child_that_closes_the_engine_ends_no_worker(
    engine: bf.Engine, executor: KeptExecutor, deed: str
) -> None:
    workers = executor.pids
    arguments = (None, None, None) if deed == "__exit__" else ()
    assert in_child(lambda: getattr(engine, deed)(*arguments)) == UNHARMED
    assert executor.pids == workers
    assert_unharmed(engine)


@with_either_executor
def test_progress_is_none_in_a_child(engine: bf.Engine) -> None:
    def ask() -> None:
        assert engine.progress() is None

    engine.start()
    while engine.progress() is None:
        pass
    assert in_child(ask) == UNHARMED
    engine.stop()
    assert_unharmed(engine)


def test_a_child_that_is_killed_harms_nothing(engine: bf.Engine) -> None:
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(die) == -signal.SIGKILL
    assert_unharmed(engine)


def test_a_child_that_lives_longer_harms_nothing(engine: bf.Engine) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    assert_unharmed(engine)
    os.close(writing)
    assert exit_code_of(child) == 0


def leave(engine: bf.Engine) -> None:
    """Return normally, so that Python ends the process as usual."""
    try:
        engine.run()
    except bf.ForkedStoreError:
        os.environ["REFUSED"] = "1"
    finally:
        engine.close()
    raise SystemExit(0 if os.environ.get("REFUSED") else 1)


@with_either_executor
def test_a_child_of_multiprocessing_is_refused_and_ends_cleanly(engine: bf.Engine) -> None:
    child = multiprocessing.get_context("fork").Process(target=leave, args=(engine,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert_unharmed(engine)


def open_another(path: Path) -> None:
    with bf.Engine(path, orders(), workers=1) as engine:
        load(engine, 10)
        engine.run()
        raise SystemExit(len(outcome(engine)[0]) != 10)


def test_an_engine_that_a_child_opens_after_the_fork_works(
    engine: bf.Engine, tmp_path: Path
) -> None:
    path = tmp_path / "child" / "orders.duckdb"
    path.parent.mkdir()
    child = multiprocessing.get_context("fork").Process(target=open_another, args=(path,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert_unharmed_beside(engine, path.parent)


def assert_unharmed_beside(engine: bf.Engine, folder: Path) -> None:
    for each in folder.iterdir():
        each.unlink()
    folder.rmdir()
    assert_unharmed(engine)


@with_either_executor
def test_a_fork_during_a_drain_neither_hangs_nor_harms(engine: bf.Engine) -> None:
    engine.start()
    stop = threading.Event()
    triggering = threading.Thread(target=keep_triggering, args=(engine, stop))
    triggering.start()
    try:
        for _ in range(10):
            assert in_child(lambda: engine.trigger("child", Order(1))) == REFUSED
            assert in_child(engine.run) == REFUSED
            assert in_child(engine.close) == UNHARMED
    finally:
        stop.set()
        triggering.join()
        engine.stop()
    engine.run()
    assert engine.runs("foreign_id = 'child'").fetchall() == []
    unfinished = engine.runs("run_state <> 'COMPLETED'")
    assert unfinished.fetchall() == []


def keep_triggering(engine: bf.Engine, stop: threading.Event) -> None:
    number = 0
    while not stop.is_set():
        engine.trigger(f"extra {number}", Order(number))
        number += 1
