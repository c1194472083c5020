"""Ending queries that take too long, or whose client has disconnected."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from batchflow.errors import QueryError

_LOOK_SECONDS: Final = 0.05


@dataclass(eq=False)
class WatchedQuery:
    """One running query."""

    cancelled: Callable[[], bool]
    interrupt: Callable[[], None]
    deadline: float
    overdue: bool = field(default=False)


class QueryWatch:
    """Watches all running queries in one thread, which sleeps while there is none.

    Args:
        seconds: The longest time for a query, from its start until its last row is sent.
        most: How many queries are executed at the same time; others wait.
    """

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._room = threading.Semaphore(most)
        self._watched: set[WatchedQuery] = set()
        self._news = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._look, name="batchflow-queries", daemon=True)
        self._thread.start()

    @contextmanager
    def over(self, cancelled: Callable[[], bool], interrupt: Callable[[], None]) -> Iterator[None]:
        """Watch one query.

        Raises:
            QueryError: The query took too long and was ended.
        """
        with self._room:
            watched = WatchedQuery(cancelled, interrupt, time.monotonic() + self._seconds)
            with self._news:
                self._watched.add(watched)
                self._news.notify()
            try:
                yield
            except Exception:
                if watched.overdue:
                    raise self._took_too_long() from None
                raise
            finally:
                with self._news:
                    self._watched.discard(watched)
        if watched.overdue:
            raise self._took_too_long()

    @property
    def closed(self) -> bool:
        """Whether the engine stops serving, so that each call fails."""
        return self._closed

    def close(self) -> None:
        """End all queries, and the thread."""
        with self._news:
            self._closed = True
            self._news.notify()
        self._thread.join()

    def _look(self) -> None:
        with self._news:
            while not self._closed:
                self._news.wait(_LOOK_SECONDS if self._watched else None)
                for watched in self._watched:
                    self._end_if_due(watched)
            for watched in self._watched:
                watched.interrupt()

    def _end_if_due(self, watched: WatchedQuery) -> None:
        watched.overdue = watched.overdue or time.monotonic() > watched.deadline
        if watched.overdue or watched.cancelled():
            watched.interrupt()

    def _took_too_long(self) -> QueryError:
        found = f"it took longer than {self._seconds:g} seconds"
        return QueryError(
            f"The query was ended, as {found}: query less, or open the engine with a larger "
            "EngineConfig.query_timeout_seconds.",
            found=found,
        )
