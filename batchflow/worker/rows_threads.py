"""Execute a row step that waits, for several runs at once in threads."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from batchflow.worker.current_call import enter_call, leave_call
from batchflow.worker.row_session import RowSession

_LOOK_SECONDS: Final = 0.5


class Threads:
    """Keep a team for each number of threads, for the worker's lifetime."""

    def __init__(self) -> None:
        self._teams: dict[int, _Team] = {}

    def team(self, threads: int) -> _Team:
        """Return the team with this number of threads."""
        if threads not in self._teams:
            self._teams[threads] = _Team(threads)
        return self._teams[threads]

    def close(self) -> None:
        """End all threads."""
        for team in self._teams.values():
            team.close()
        self._teams = {}


class _Team:
    """Threads that do the same work at the same time.

    A ThreadPoolExecutor would wait for ever for a thread of its own that has ended, as it may once
    a step has replaced a builtin.
    """

    def __init__(self, threads: int) -> None:
        # Both are written in C, so they work whatever a step has replaced.
        self._works: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._ends: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._serve, name=f"batchflow-step_{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def do(self, work: Callable[[], None]) -> None:
        """Let each thread do the work once, and wait for all of them.

        Raises:
            RuntimeError: A thread has ended.
        """
        for _ in self._threads:
            self._works.put(work)
        for _ in self._threads:
            error = self._next_end()
            if error is not None:
                raise error

    def close(self) -> None:
        """End the threads."""
        for _ in self._threads:
            self._works.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        while (work := self._works.get()) is not None:
            try:
                work()
            except BaseException as error:
                self._ends.put(error)
            else:
                self._ends.put(None)

    def _next_end(self) -> BaseException | None:
        while True:
            try:
                return self._ends.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                if not all(thread.is_alive() for thread in self._threads):
                    raise RuntimeError("A thread that calls the step has ended.") from None


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
