"""A step of any kind may raise anything: that run alone fails, with a record of the error."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from strange_exceptions import RAISERS

import batchflow as bf
from batchflow.definition import Retry
from batchflow.worker.failure import MESSAGE_CHARACTERS, TRACEBACK_CHARACTERS, FailureRecorder
from kit.things import Stage

PEACEFUL = 50
LONGEST_TYPE = 200


@dataclass
class Thing:
    key: int
    raises: str
    number: int = 0


def by_row(run: bf.Run[Thing, Stage]) -> Stage:
    run.object.number = 1
    if run.object.raises:
        RAISERS[run.object.raises]()
    return Stage.DONE


async def by_row_async(run: bf.Run[Thing, Stage]) -> Stage:
    return by_row(run)


def by_batch(batch: bf.Batch[Thing, Stage]) -> Stage:
    batch["number"] = 1
    for raises in filter(None, batch["raises"]):
        RAISERS[raises]()
    return Stage.DONE


WAYS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "row": (by_row, {}),
    "threads": (by_row, {"threads": 4}),
    "asynchronous": (by_row_async, {"concurrency": 8}),
    "asynchronous, in time": (by_row_async, {"timeout_seconds": 60}),
    "batch": (by_batch, {"batch": True}),
}


def workflow(name: str) -> bf.Workflow[Thing, Stage]:
    made = bf.Workflow(name, Thing, Stage, retry=bf.Retry(pause_after=1))
    function, options = WAYS[name]
    made.add_step(Stage.NEW, function, Stage.DONE, **options)
    return made


@pytest.mark.parametrize("workers", [0, 1])
def test_any_exception_of_a_step_fails_only_its_run(workers: int) -> None:
    names = [*RAISERS, *[""] * PEACEFUL]
    things = [Thing(key, raises) for key, raises in enumerate(names)]
    with bf.Engine(":memory:", *map(workflow, WAYS), workers=workers) as engine:
        for name in WAYS:
            engine.trigger_many(things, foreign_id="key", workflow=name)
        engine.run()
        for name in WAYS:
            left = engine.sql(
                f'SELECT raises, run_state::VARCHAR, number FROM "{name}".runs '
                "WHERE status <> 'DONE' OR number <> 1"
            ).fetchall()
            assert sorted(left) == sorted((raises, "PAUSED", 0) for raises in RAISERS), name
            recorded = engine.sql(
                "SELECT raises, type, message, traceback "
                f'FROM "{name}".errors JOIN "{name}".runs USING (run_id)'
            ).fetchall()
            assert len(recorded) == len(RAISERS)
            for raises, kind, message, text in recorded:
                assert len(kind) <= LONGEST_TYPE, raises
                assert len(message) <= MESSAGE_CHARACTERS, raises
                assert len(text) <= TRACEBACK_CHARACTERS, raises
                assert "WorkerDied" not in kind, raises
                last = f"{kind}: {message}" if message else kind
                # The notes of an exception follow its last line.
                assert text.endswith(last) or (raises == "many_notes" and f"{last}\nnnn" in text)


def raise_one_that_never_tells(run: bf.Run[Thing, Stage]) -> Stage:
    class Silent(Exception):
        def __str__(self) -> str:
            time.sleep(10_000)
            return "at last"

    if run.object.raises:
        raise Silent
    return Stage.DONE


def test_an_exception_whose_message_takes_forever_is_ended_with_its_step() -> None:
    made = bf.Workflow("things", Thing, Stage, retry=bf.Retry(pause_after=1), timeout_seconds=0.5)
    made.add_step(Stage.NEW, raise_one_that_never_tells, Stage.DONE)
    with bf.Engine(":memory:", made, workers=1) as engine:
        engine.trigger_many([Thing(n, "x" * (n == 2)) for n in range(5)], foreign_id="key")
        engine.run()
        assert engine.sql("SELECT type FROM things.errors").fetchall() == [("StepTimeout",)]
        done = engine.sql("SELECT count(*) FROM things.runs WHERE status = 'DONE'")
        assert done.fetchall() == [(4,)]


def test_the_first_exceptions_of_a_group_are_recorded_with_messages_and_places() -> None:
    try:
        try:
            int("seven")
        except ValueError as error:
            raise BaseExceptionGroup(
                "many", [ExceptionGroup("few", [error]), KeyError("k")]
            ) from None
    except BaseExceptionGroup as error:
        failure = FailureRecorder(Retry()).record(error)
    assert failure.message == (
        "many (2 sub-exceptions): ValueError: invalid literal for int() with base 10: 'seven'; "
        "KeyError: 'k'"
    )
    assert 'int("seven")' in failure.traceback
    first, last = map(failure.traceback.index, ("ValueError: invalid", "raise BaseException"))
    assert first < last


def test_a_traceback_that_is_too_long_keeps_its_end() -> None:
    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        else:
            raise ValueError("at the bottom")

    error: BaseException | None = None
    for _ in range(10):
        try:
            try:
                deep(100)
            except ValueError as last:
                raise last from error
        except ValueError as raised:
            error = raised
    assert error is not None
    text = FailureRecorder(Retry()).record(error).traceback
    assert len(text) <= TRACEBACK_CHARACTERS
    assert text.endswith('raise ValueError("at the bottom")\nValueError: at the bottom')


def test_with_hardly_any_stack_left_at_least_the_class_is_recorded() -> None:
    recorder, error = FailureRecorder(Retry()), ValueError("bad")

    def on_the_way_back_from_the_end_of_the_stack() -> list[Any]:
        recorded: list[Any] = []
        with contextlib.suppress(RecursionError):
            recorded = on_the_way_back_from_the_end_of_the_stack()
        with contextlib.suppress(RecursionError):
            # At the very end of the stack, not even this call is possible.
            recorded.append(recorder.record(error))
        return recorded

    recorded = on_the_way_back_from_the_end_of_the_stack()
    assert {failure.type for failure in recorded} == {"ValueError"}
    assert any("<it can't be described: RecursionError>" in one.message for one in recorded)
    assert recorded[-1].message == "bad"
