"""The ends of workers are bounded, and one end of the fork server is one of them."""

from __future__ import annotations

import pytest

from batchflow.errors import EngineStateError
from batchflow.executor.ends import Ends
from batchflow.executor.worker_process import WorkerEnd


def end(ends: Ends, fork_server_start: int | None) -> None:
    ended = WorkerEnd("killed", (), called=False, fork_server_start=fork_server_start)
    ends.ended(ended, ready=False)
    ends.require_few()


def test_many_workers_that_end_with_one_fork_server_are_one_end() -> None:
    ends = Ends()
    for start in range(1, 10):
        for _ in range(100):
            end(ends, start)
    with pytest.raises(EngineStateError, match=r"Workers ended 10 times.*: killed\. "):
        end(ends, 10)


def test_a_result_begins_the_count_again() -> None:
    ends = Ends()
    for _ in range(3):
        for _ in range(9):
            end(ends, None)
        ends.result()
