"""Execute a row step that waits, for several runs at once in threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial

from batchflow.worker.current_call import enter_call, leave_call
from batchflow.worker.row_session import RowSession
from batchflow.worker.thread_team import ThreadTeam


class Threads:
    """Keep a team for each number of threads, for the worker's lifetime."""

    def __init__(self) -> None:
        self._teams: dict[int, ThreadTeam] = {}

    def team(self, threads: int) -> ThreadTeam:
        """Return the team with this number of threads."""
        if threads not in self._teams:
            self._teams[threads] = ThreadTeam(threads, "batchflow-step")
        return self._teams[threads]

    def close(self) -> None:
        """End all threads."""
        for team in self._teams.values():
            team.close()
        self._teams = {}


def execute_in_threads(session: RowSession, threads: Threads) -> None:
    """Call the step for each run until the slice is over, in as many threads as its options."""
    team = threads.team(session.row_step.step.options.threads)
    for part in session.parts():
        team.do(partial(_lane, session, part, _SharedRows(part)))


def _lane(session: RowSession, part: range, rows: Iterator[int]) -> None:
    for row in rows:
        deadline = session.deadline()
        session.control.enter(part.start, deadline, len(part))
        enter_call(session.context.chunk, session.row_step.step.name, row)
        session.execute(row, deadline)
        if session.slice.is_over(time.monotonic()):
            break
    # The thread stays, and would keep the chunk.
    leave_call()


class _SharedRows:
    """Yield each row once, over all threads."""

    def __init__(self, rows: range) -> None:
        self._rows = iter(rows)
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        with self._lock:
            return next(self._rows)
