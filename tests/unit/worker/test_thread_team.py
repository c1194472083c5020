"""A team of threads ends its work together, or is left to itself."""

from __future__ import annotations

import threading

import pytest

from batchflow.worker.thread_team import ThreadTeam


def test_an_error_is_raised_when_all_threads_have_ended_their_work() -> None:
    team = ThreadTeam(2, "test")
    numbers, done = iter(range(2)), threading.Barrier(2)
    ended: list[int] = []

    def work() -> None:
        number = next(numbers)
        done.wait()
        if number == 0:
            raise ValueError("the first")
        ended.append(number)

    with pytest.raises(ValueError, match="the first"):
        team.do(work)

    assert ended == [1]
    team.do(lambda: ended.append(2))
    assert ended == [1, 2, 2]
    team.close()
