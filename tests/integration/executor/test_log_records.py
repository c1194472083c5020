"""Log records of steps reach the loggers of the engine's process, with run id, step and worker."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import logging_steps
import pytest

import batchflow as bf
from kit.things import Stage, Thing, load, numbers, things

LOGGER = "logging_steps"


@pytest.fixture(params=[True, False], ids=["inline", "workers"])
def in_this_process(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def engine(in_this_process: bool, caplog: pytest.LogCaptureFixture) -> Iterator[bf.Engine]:
    caplog.set_level(logging.INFO, LOGGER)
    workflows = [
        things(logging_steps.row, name="row"),
        things(logging_steps.timed, name="timed", timeout_seconds=60),
        things(logging_steps.in_thread, name="in_thread", threads=2),
        things(logging_steps.async_row, name="async_row", concurrency=3),
        things(logging_steps.batch, name="batch", batch=True),
    ]
    with bf.Engine(":memory:", *workflows, workers=0 if in_this_process else 1) as opened:
        yield opened


def records_of(caplog: pytest.LogCaptureFixture, name: str = LOGGER) -> list[Any]:
    return [record for record in caplog.records if record.name == name]


def test_records_have_the_run_the_step_and_the_worker(
    engine: bf.Engine, in_this_process: bool, caplog: pytest.LogCaptureFixture
) -> None:
    for workflow in engine.workflows:
        engine.trigger_many(numbers(3), foreign_id="number", workflow=workflow)
    engine.run()
    records = records_of(caplog)
    assert len(records) == 4 * 3 + 1
    for record in records:
        one_run = record.step != "batch"
        assert record.getMessage() == (f"run {record.run_id}" if one_run else "batch")
        assert (record.run_id is None) is not one_run
        assert record.step == record.workflow
        assert record.worker == record.process
    assert len({record.run_id for record in records}) == 4 * 3 + 1
    assert ({record.worker for record in records} == {os.getpid()}) is in_this_process


def test_extras_and_exceptions_arrive_as_text(caplog: pytest.LogCaptureFixture) -> None:
    with bf.Engine(":memory:", things(logging_steps.with_details), workers=1) as engine:
        load(engine, 1)
        engine.run()
    [record] = records_of(caplog)
    assert (record.step, record.order, record.lines) == ("the user's own", 7, [1, 2])
    assert record.thing.startswith("<object object")
    assert "ZeroDivisionError" in record.exc_text
    assert "1 / 0" in logging.Formatter().format(record)


def test_the_levels_of_this_process_hold_and_may_change_between_drains(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with bf.Engine(":memory:", things(logging_steps.row), workers=1) as engine:
        load(engine, 1)
        engine.run()
        assert records_of(caplog) == []
        caplog.set_level(logging.INFO, LOGGER)
        load(engine, 1, first=1)
        engine.run()
    assert len(records_of(caplog)) == 1


def test_a_handler_that_a_module_adds_gets_each_record_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "module_with_handler")
    monkeypatch.syspath_prepend(str(tmp_path))
    log = tmp_path / "own.log"
    (tmp_path / "module_with_handler.py").write_text(
        "import logging\nfrom kit.things import Stage\nlog = logging.getLogger(__name__)\n"
        f"log.addHandler(logging.FileHandler({str(log)!r}))\n"
        "logging.basicConfig(force=True)\n"
        "def step(run):\n    log.info('once')\n    return Stage.DONE\n"
    )
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", root.handlers)
    kept = [*root.handlers]
    module: Any = __import__("module_with_handler")
    root.handlers[:] = kept
    with bf.Engine(":memory:", things(module.step), workers=1) as engine:
        load(engine, 1)
        engine.run()
    module.log.handlers.pop().close()
    assert log.read_text() == "once\n"
    assert len(records_of(caplog, "module_with_handler")) == 1


def test_the_last_records_before_a_death_arrive(caplog: pytest.LogCaptureFixture) -> None:
    def step(run: bf.Run[Thing, Stage]) -> Stage:
        logging.getLogger("dying").warning("last words of %s", run.foreign_id)
        os.kill(os.getpid(), signal.SIGKILL)
        return Stage.DONE

    workflow = things(step, retry=bf.Retry(pause_after=1))
    with bf.Engine(":memory:", workflow, workers=1) as engine:
        load(engine, 1)
        engine.run()
    assert {record.getMessage() for record in records_of(caplog, "dying")} == {"last words of 0"}


def test_a_flood_is_bounded_and_what_was_dropped_is_reported(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(run: bf.Run[Thing, Stage]) -> Stage:
        log = logging.getLogger("flood")
        for number in range(2_000):
            log.warning("%d %s", number, "x" * 2_000)
        return Stage.DONE

    handled: list[logging.LogRecord] = []

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            handled.append(record)
            time.sleep(0.0005)

    logger = logging.getLogger("flood")
    monkeypatch.setattr(logger, "handlers", [Slow()])
    monkeypatch.setattr(logger, "propagate", False)
    with bf.Engine(":memory:", things(step), workers=1) as engine:
        load(engine, 1)
        engine.run()
    dropped = sum(getattr(record, "dropped", 0) for record in caplog.records)
    order = [int(record.getMessage().split()[0]) for record in handled]
    assert order == sorted(order)
    assert dropped > 0
    assert len(handled) + dropped == 2_000


def test_a_logging_child_process_of_a_step_does_not_disturb_the_records(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def step(run: bf.Run[Thing, Stage]) -> Stage:
        log = logging.getLogger("forking")
        child = os.fork()
        if not child:
            log.info("in the child")
            os._exit(0)
        os.waitpid(child, 0)
        log.warning("in the worker")
        return Stage.DONE

    with bf.Engine(":memory:", things(step), workers=1) as engine:
        load(engine, 1)
        engine.run()
    assert [record.getMessage() for record in records_of(caplog, "forking")] == ["in the worker"]
