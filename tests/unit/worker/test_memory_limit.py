"""The limit of a worker's memory is named by the error of a step that needs more."""

from __future__ import annotations

from batchflow.worker.memory import MemoryLimit


def test_an_error_names_the_limit_that_caused_it() -> None:
    plain, detailed = MemoryError(), MemoryError("unable to allocate an array")
    limit = MemoryLimit(2_000_000)

    limit.end_if_exhausted(plain)
    limit.end_if_exhausted(detailed)

    named = "worker_memory_limit allows a worker 2 MB"
    assert str(plain) == f"the step needs more memory: {named}"
    assert (str(detailed), detailed.__notes__) == ("unable to allocate an array", [named])


def test_an_error_without_a_limit_is_left_as_it_is() -> None:
    error = MemoryError()

    MemoryLimit(0).end_if_exhausted(error)

    assert str(error) == ""
