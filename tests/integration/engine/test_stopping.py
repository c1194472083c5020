"""After Ctrl-C or SIGTERM, the chunks in flight are finished and committed, or abandoned."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PIPELINE = '''
import asyncio, enum, os, signal, sys, time
from dataclasses import dataclass

import pyarrow as pa

import batchflow as bf


class Stage(enum.Enum):
    NEW = 1
    DONE = 2


@dataclass
class Thing:
    number: int = 0


def output(text):
    # A signal can't break into it.
    os.write(1, f"{text}\\n".encode())


def patient(run):
    output("in step")
    while not run.stopping:
        time.sleep(0.001)
    return Stage.DONE


def stubborn(run_or_batch):
    output("in step")
    while not run_or_batch.stopping:
        time.sleep(0.001)
    output("goes on")
    while True:
        time.sleep(0.001)


async def stubborn_coroutine(run):
    while not run.stopping:
        output("in step")
        await asyncio.sleep(0.001)
    output("goes on")
    while True:
        await asyncio.sleep(0.001)


async def half_stubborn_coroutine(run):
    if run.object.number > 0:
        await asyncio.sleep(3600)
    stubborn(run)


def endless():
    """Return an Arrow reader that never ends; it prints when it is read."""
    batch = pa.record_batch({"number": pa.array(range(100))})

    def batches():
        yield batch
        output("in load")
        while True:
            yield batch

    return pa.RecordBatchReader.from_batches(batch.schema, batches())


async def in_a_loop(*arguments):
    main(*arguments)


def main(function, workers, grace_seconds, *flags):
    if "ignore" in flags:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    things = bf.Workflow("things", Thing, Stage)
    options = {"batch": "batch" in flags} | ({"threads": 4} if "threads" in flags else {})
    things.add_step(Stage.NEW, globals()[function], Stage.DONE, **options)
    config = bf.EngineConfig(grace_seconds=float(grace_seconds))
    with bf.Engine("things.duckdb", things, workers=int(workers), config=config) as engine:
        try:
            if "load" in flags:
                engine.trigger_many(endless(), foreign_id="number")
            engine.trigger_many([Thing(number) for number in range(300)], foreign_id="number")
            if "background" in flags:
                engine.start()
                (run_id,) = engine.runs("number = 0").select("run_id").fetchall()[0]
                engine.wait(run_id, Stage.DONE)
            output(f"ran {engine.run().runs}")
        except BaseException as error:
            report = engine.last_report
            output(f"{type(error).__name__} {report and report.ended_by}")
            raise
        finally:
            rows = engine.runs().aggregate("status::VARCHAR, count(*)").order("ALL").fetchall()
            output(str(dict(rows)))


if __name__ == "__main__":
    if "loop" in sys.argv:
        asyncio.run(in_a_loop(*sys.argv[1:]))
    else:
        main(*sys.argv[1:])
'''

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the pipeline with these arguments, and wait until its step, or its load, prints."""
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "pipeline.py", *map(str, arguments)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("in ")
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def ending(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Return the exit code, and the last output: the error, and the runs by status."""
    output, _ = process.communicate()
    return process.returncode, output.splitlines()[-2:]


@pytest.mark.parametrize(
    ("workers", "number", "error", "code"),
    [
        (0, signal.SIGINT, "KeyboardInterrupt stopped", -signal.SIGINT),
        (1, signal.SIGTERM, "SystemExit stopped", 128 + signal.SIGTERM),
    ],
    ids=["int", "term"],
)
def test_a_step_that_checks_stopping_ends_and_is_committed(
    start: Start, workers: int, number: signal.Signals, error: str, code: int
) -> None:
    process = start("patient", workers, 60)
    process.send_signal(number)

    assert ending(process) == (code, [error, "{'DONE': 1, 'NEW': 299}"])


def test_after_its_grace_time_a_step_in_a_worker_is_abandoned(start: Start) -> None:
    process = start("stubborn", 1, 0.01, "batch")
    process.send_signal(signal.SIGINT)

    assert ending(process) == (-signal.SIGINT, ["KeyboardInterrupt stopped", "{'NEW': 300}"])


@pytest.mark.parametrize(
    ("function", "workers", "flags"),
    [
        ("stubborn", 0, ()),
        ("stubborn", 0, ("batch",)),
        ("stubborn", 0, ("threads",)),
        ("stubborn", 1, ()),
        ("stubborn_coroutine", 0, ()),
        ("half_stubborn_coroutine", 0, ()),
        ("stubborn_coroutine", 0, ("loop",)),
        ("half_stubborn_coroutine", 0, ("loop",)),
        ("stubborn_coroutine", 1, ()),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else str(value),
)
def test_a_second_signal_abandons_a_step_wherever_it_is_executed(
    start: Start, function: str, workers: int, flags: tuple[str, ...]
) -> None:
    process = start(function, workers, 3600, *flags)
    send_twice(process, signal.SIGINT)

    assert ending(process) == (-signal.SIGINT, ["KeyboardInterrupt stopped", "{'NEW': 300}"])


def test_a_second_sigterm_ends_an_inline_step_as_sigterm(start: Start) -> None:
    process = start("stubborn", 0, 3600)
    send_twice(process, signal.SIGTERM)

    assert ending(process) == (128 + signal.SIGTERM, ["SystemExit stopped", "{'NEW': 300}"])


def test_a_second_ctrl_c_abandons_steps_in_the_background(start: Start) -> None:
    process = start("stubborn", 1, 3600, "background")
    said = send_twice(process, signal.SIGINT)

    assert ending(process) == (-signal.SIGINT, [])
    assert said == ["KeyboardInterrupt None", "{'NEW': 300}"]


def test_a_signal_that_was_ignored_stays_ignored(start: Start) -> None:
    process = start("patient", 1, 60, "ignore")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)

    assert ending(process) == (
        128 + signal.SIGTERM,
        ["SystemExit stopped", "{'DONE': 1, 'NEW': 299}"],
    )


def test_ctrl_c_in_a_load_is_a_keyboard_interrupt_and_nothing_was_loaded(start: Start) -> None:
    process = start("patient", 0, 60, "load")
    process.send_signal(signal.SIGINT)

    assert ending(process) == (-signal.SIGINT, ["KeyboardInterrupt None", "{}"])


def send_twice(process: subprocess.Popen[str], number: signal.Signals) -> list[str]:
    """Send a signal, and again when the step knows of the first, as two at once count as one.

    Returns what the process printed meanwhile.
    """
    process.send_signal(number)
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        if line == "goes on\n":
            break
        lines.append(line.strip())
    process.send_signal(number)
    return lines
