"""Threads that do the same work at the same time, and can be left to themselves."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Final

# How long threads whose work was given up may take to end it.
GRACE_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.5


class ThreadTeam:
    """Threads that do the same work at the same time.

    A ThreadPoolExecutor would wait for ever for a thread of its own that has ended, as it may once
    a step has replaced a builtin, or whose call doesn't return, also when the process ends.
    """

    def __init__(self, threads: int, name: str) -> None:
        # Both are written in C, so they work whatever a step has replaced.
        self._works: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._ends: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._at_work = 0
        self._threads = [
            threading.Thread(target=self._serve, name=f"{name}_{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def do(self, work: Callable[[], object]) -> None:
        """Let each thread do the work once, wait for all of them, and raise what one raised.

        An exception that interrupts the wait gives the work up; the threads end it by themselves.

        Raises:
            RuntimeError: A thread has ended.
        """
        self._at_work = len(self._threads)
        for _ in self._threads:
            self._works.put(work)
        first: BaseException | None = None
        while self._at_work:
            first = self._next_end() or first
        if first is not None:
            raise first

    def is_free(self) -> bool:
        """Return whether work that was given up has ended, or ends soon."""
        until = time.monotonic() + GRACE_SECONDS
        try:
            while self._at_work:
                self._ends.get(timeout=max(until - time.monotonic(), 0.0))
                self._at_work -= 1
        except queue.Empty:
            return False
        return True

    def close(self) -> None:
        """End the threads; one whose call doesn't return ends with the process."""
        for _ in self._threads:
            self._works.put(None)
        if self.is_free():
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
                end = self._ends.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                if not all(thread.is_alive() for thread in self._threads):
                    raise RuntimeError("A thread that calls the step has ended.") from None
            else:
                self._at_work -= 1
                return end
