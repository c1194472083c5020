from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from step_harness import Execute, Item, Status

from batchflow.definition import Retry
from batchflow.worker.failure import Failure, FailureRecorder


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Picky(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")


def raise_(error: BaseException) -> Any:
    raise error


def record(function: Callable[..., Any], *args: Any, retry: Retry | None = None) -> Failure:
    try:
        function(*args)
    except BaseException as error:
        return FailureRecorder(retry or Retry()).record(error)
    raise AssertionError("nothing was raised")


def deep(depth: int) -> Any:
    return deep(depth + 1)


@pytest.mark.parametrize(
    ("error", "name", "message"),
    [
        (ValueError("bad"), "ValueError", "bad"),
        (Picky("a", "b"), "Picky", "a b"),
        (Mute(), "Mute", "<no message: its __str__ raised RuntimeError>"),
        (SystemExit(3), "SystemExit", "3"),
        (KeyboardInterrupt(), "KeyboardInterrupt", ""),
        (MemoryError(), "MemoryError", ""),
        (
            ExceptionGroup("many", [ValueError("x")]),
            "ExceptionGroup",
            "many (1 sub-exception): ValueError: x",
        ),
        (ValueError("\ud800"), "ValueError", "?"),
    ],
)
def test_any_exception_becomes_a_record(error: BaseException, name: str, message: str) -> None:
    failure = record(raise_, error)
    assert (failure.type, failure.message) == (name, message)
    assert failure.traceback.endswith(f"{name}: {message}" if message else name)


def test_a_record_is_of_bounded_size() -> None:
    failure = record(raise_, ValueError("x" * 1_000_000))
    assert len(failure.message) == 2_000
    assert len(failure.traceback) <= 16_000
    assert failure.message.endswith("…")


def test_endless_recursion_leaves_its_first_and_last_frames() -> None:
    failure = record(deep, 0)
    assert failure.type == "RecursionError"
    assert "in record" in failure.traceback
    assert "return deep(depth + 1)" in failure.traceback
    assert len(failure.traceback) <= 16_000


def test_the_fingerprint_distinguishes_places_and_not_messages() -> None:
    one, two = (record(raise_, ValueError(f"order {number}")) for number in (1, 2))
    assert one.fingerprint == two.fingerprint
    assert one.fingerprint != record(raise_, KeyError("order 1")).fingerprint
    assert one.fingerprint != record(lambda: int("order 1")).fingerprint
    assert one.message != two.message


def test_errors_without_a_place_are_distinguished_by_words_and_not_values() -> None:
    recorder = FailureRecorder(Retry())
    texts = ["order 1 'x' declined", "order 22 'y' declined", "order 1 lost"]
    one, two, other = (recorder.record(ValueError(text)).fingerprint for text in texts)
    assert one == two
    assert one != other


def test_the_traceback_includes_the_cause() -> None:
    def chained() -> None:
        try:
            json.loads("{")
        except ValueError as error:
            raise RuntimeError("unreadable") from error

    text = record(chained).traceback
    assert text.index("JSONDecodeError") < text.index("RuntimeError: unreadable")


def test_the_traceback_begins_with_the_users_code(execute: Execute) -> None:
    def step(run: Any) -> Any:
        return raise_(ValueError("bad"))

    for options in ({}, {"threads": 2}, {"batch": True}):
        [text] = execute(step, [Item("a")], **options).result.failures["traceback"].to_pylist()
        assert "in step\n    return raise_(ValueError" in text
        assert "in raise_" in text
        assert "batchflow/worker" not in text


@pytest.mark.parametrize("batch", [False, True], ids=["row", "batch"])
def test_the_traceback_ends_with_the_users_code(execute: Execute, batch: bool) -> None:
    def step(given: Any) -> Any:
        return given["nowhere"] if batch else given.resources["nowhere"]

    [text] = execute(step, [Item("a")], batch=batch).result.failures["traceback"].to_pylist()
    *_, last_frame = (line for line in text.splitlines() if line.startswith("  File "))
    assert last_frame.endswith("in step")


def test_the_steps_retry_decides_whether_a_failure_is_retryable(execute: Execute) -> None:
    def step(run: Any) -> Any:
        errors = [ValueError(), KeyError(), SystemExit()]
        raise errors[run.object.count]

    retry = Retry(never_on=(KeyError,))
    result = execute(step, [Item("a", n) for n in range(3)], retry=retry).result
    assert result.failures["retryable"].to_pylist() == [True, False, False]


@pytest.mark.parametrize("options", [{}, {"threads": 2}, {"batch": True}])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RecursionError, MemoryError])
def test_no_exception_leaves_a_step(
    execute: Execute, error: type[BaseException], options: dict[str, Any]
) -> None:
    def step(run: Any) -> Any:
        raise error

    done = execute(step, [Item("a"), Item("b")], **options)
    assert done.outcomes == ["FAILED", "FAILED"]
    assert done.failures[1][0] == error.__name__


def test_a_failing_step_does_not_affect_other_runs(execute: Execute) -> None:
    def step(run: Any) -> Any:
        run.object.count = 100 // run.object.count
        return Status.DONE

    done = execute(step, [Item("a", 1), Item("b", 0), Item("c", 4)])
    assert done.outcomes == ["ADVANCED", "FAILED", "ADVANCED"]
    assert done.change("count") == [100, "-", 25]


def refuse(message: str) -> Any:
    raise LookupError(f"no stock for {message}")


def update(message: str, *, explicit: bool) -> None:
    try:
        refuse(message)
    except LookupError as error:
        if explicit:
            raise RuntimeError("update failed") from error
        raise RuntimeError("update failed")  # noqa: B904 - the context of the error is the point


@pytest.mark.parametrize("explicit", [True, False], ids=["cause", "context"])
def test_the_traceback_has_the_message_of_each_cause(explicit: bool) -> None:
    recorder = FailureRecorder(Retry())
    for message in ("pear", "plum"):  # The second one has its frames from the cache.
        try:
            update(message, explicit=explicit)
        except RuntimeError as error:
            text = recorder.record(error).traceback
        cause, link, last = text.partition("direct cause" if explicit else "During handling")
        assert f"LookupError: no stock for {message}\n" in cause
        assert link
        assert last.endswith("\nRuntimeError: update failed")


def test_a_suppressed_context_is_left_out() -> None:
    def step() -> None:
        try:
            refuse("pear")
        except LookupError:
            raise RuntimeError("update failed") from None

    assert "no stock" not in record(step).traceback


def test_the_traceback_of_a_group_has_its_parts_with_their_causes_and_notes() -> None:
    def step() -> None:
        try:
            update("pear", explicit=True)
        except RuntimeError as error:
            error.add_note("at depot 7")
            raise ExceptionGroup("three depots", [error, KeyError("depot")]) from None

    text = record(step).traceback
    expected = ["no stock for pear", "RuntimeError: update failed\nat depot 7", "KeyError: 'depot'"]
    places = [text.index(each) for each in [*expected, "ExceptionGroup: three depots"]]
    assert places == sorted(places)


def test_long_messages_of_many_causes_stay_within_the_bound() -> None:
    def fail(depth: int) -> None:
        try:
            if depth:
                fail(depth - 1)
        finally:
            raise ValueError(f"level {depth} " + "x" * 100_000)

    failure = record(fail, 50)
    assert len(failure.traceback) <= 16_000
    assert "level 50" in failure.traceback
    assert "level 49" in failure.traceback
