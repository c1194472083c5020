"""A SQL step that doesn't end is interrupted when the time for a stop is over."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import pytest

import batchflow as bf
from batchflow.executor.inline_executor import InlineExecutor
from batchflow.testing import FakeClock
from kit.things import Stage, Thing

ENDLESS = "(SELECT count(*) FROM range(10_000_000) a, range(10_000_000) b)"
GRACE_SECONDS = 0.2
WORK_SECONDS = 0.15


class WokenInline(InlineExecutor):
    """Records that something has woken the drain, as each request of a stop does."""

    def __init__(self, context: bf.ExecutorContext) -> None:
        super().__init__(context)
        # A signal handler may put into it while its thread does so as well.
        self.wakes: SimpleQueue[None] = SimpleQueue()

    def wake(self) -> None:
        super().wake()
        self.wakes.put(None)


class Factory:
    capabilities = bf.Inline.capabilities
    executor: WokenInline

    def open(self, context: bf.ExecutorContext) -> WokenInline:
        self.executor = WokenInline(context)
        return self.executor


class Opened(NamedTuple):
    engine: bf.Engine
    clock: FakeClock
    factory: Factory


def opened(path: Path, grace_seconds: float = GRACE_SECONDS) -> Opened:
    things = bf.Workflow("things", Thing, Stage)
    things.sql_step(Stage.NEW, to=Stage.DONE, set={"number": ENDLESS})
    config = bf.EngineConfig(grace_seconds=grace_seconds)
    clock, factory = FakeClock(), Factory()
    engine = bf.Engine(path, things, executor=factory, config=config, clock=clock)
    engine.trigger_many([Thing(1), Thing(2)], foreign_id="number")
    return Opened(engine, clock, factory)


@pytest.fixture(scope="module")
def under_test(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    under_test = opened(tmp_path_factory.mktemp("endless") / "things.duckdb")
    with under_test.engine:
        yield under_test


def when_executing(act: Callable[[], object]) -> threading.Thread:
    """Do something in another thread once the step is executing.

    Nothing else here takes so much time of the processor.
    """
    began = time.process_time()

    def do() -> None:
        while time.process_time() - began < WORK_SECONDS:
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=do)
    thread.start()
    return thread


def after_stop(under_test: Opened) -> None:
    under_test.engine.start()
    when_executing(lambda: None).join()
    under_test.engine.stop()


def after_request(under_test: Opened) -> None:
    requesting = when_executing(lambda: bf.connect(under_test.engine.path).request_stop())
    assert under_test.engine.run().ended_by == "stopped"
    requesting.join()


def after_until(under_test: Opened) -> None:
    until = under_test.clock.now() + timedelta(seconds=0.2)
    advancing = when_executing(lambda: under_test.clock.advance(1))
    report = under_test.engine.run(until=until)
    advancing.join()
    assert (report.ended_by, report.runs, report.left) == ("until", 0, 2)
    [call] = report.unfinished_calls
    assert (call.status, call.runs) == ("NEW", 2)


def after_ctrl_c(under_test: Opened, times: int = 1) -> None:
    wakes = under_test.factory.executor.wakes

    def press() -> None:
        while not wakes.empty():
            wakes.get()
        for _ in range(times):
            # The operating system may give it to any thread.
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            # Two at once would count as one.
            wakes.get()

    pressing = when_executing(press)
    with pytest.raises(KeyboardInterrupt):
        under_test.engine.run()
    pressing.join()
    report = under_test.engine.last_report
    assert report is not None
    assert report.ended_by == "stopped"
    assert len(report.unfinished_calls) == 1


def is_unchanged(engine: bf.Engine) -> bool:
    counts = "SELECT count(*) FROM things.transitions UNION ALL SELECT count(*) FROM things.errors"
    return engine.sql(counts).fetchall() == [(0,), (0,)]


@pytest.mark.parametrize("way", [after_stop, after_request, after_until, after_ctrl_c])
def test_after_its_grace_time_a_step_in_the_store_is_interrupted(
    under_test: Opened, way: Callable[[Opened], None]
) -> None:
    way(under_test)
    assert is_unchanged(under_test.engine)


def test_a_second_ctrl_c_interrupts_it_at_once_and_close_after_the_grace_time(
    tmp_path: Path,
) -> None:
    patient = opened(tmp_path / "patient.duckdb", grace_seconds=3600)
    with patient.engine:
        after_ctrl_c(patient, times=2)
        assert is_unchanged(patient.engine)
    hasty = opened(tmp_path / "hasty.duckdb", grace_seconds=0.1)
    hasty.engine.start()
    when_executing(lambda: None).join()
    hasty.engine.close()
