"""Limits of other processes' queries, and of their operations that have SQL.

They limit how many there are, how long they take, how slowly rows are read, and how much memory the
process takes meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from batchflow.access.memory_growth import MemoryGrowth
from batchflow.errors import QueryError

_LOOK_SECONDS: Final = 0.05
_CLOSING_SECONDS: Final = 2.0
# A client that takes no rows for so long loses its place to a query that waits for one.
_SLOW_SECONDS: Final = 1.0

PartT = TypeVar("PartT")


@dataclass(frozen=True)
class Watched:
    """The words of messages about what a watch ends.

    Attributes:
        noun: What it is.
        outcome: What became of it.
        remedy: How to make it shorter.
    """

    noun: str
    outcome: str
    remedy: str


QUERIES: Final = Watched("query", "", "query less, read its rows sooner")
OPERATIONS: Final = Watched("operation", ", and nothing was changed", "choose less")


class WatchedQuery:
    """One query, from the first byte of its request to the last byte of its answer.

    All of DuckDB's work for it is done in parts, between which its client takes the rows. It is
    ended by the thread that does a part, or between two parts by the watch.

    Args:
        name: The name that its client gave it, to cancel it.
        deadline: When it has to be over, by `time.monotonic`.
        cancelled: Returns whether its client has disconnected.
    """

    def __init__(self, name: bytes, deadline: float, cancelled: Callable[[], bool]) -> None:
        self.name = name
        self.deadline = deadline
        self.idle_since: float | None = None
        self.released = False
        self._cancelled = cancelled
        self._working = threading.Lock()
        self._error: Exception | None = None
        self._interrupt: Callable[[], None] = _nothing
        self._release: Callable[[], None] = _nothing

    def holds(self, interrupt: Callable[[], None], release: Callable[[], None]) -> None:
        """Remember how to interrupt DuckDB, and how to give back what it holds."""
        self._interrupt, self._release = interrupt, release

    def do(self, part: Callable[[], PartT]) -> PartT:
        """Do a part of its work.

        Raises:
            QueryError: It was ended before or meanwhile.
        """
        with self._working:
            self.idle_since = None
            try:
                if self._error is not None:
                    raise self._error
                return part()
            except Exception:
                if self._error is not None:
                    raise self._error from None
                raise
            finally:
                self.idle_since = time.monotonic()

    def gone(self) -> bool:
        """Return whether its client has disconnected."""
        return self._error is None and self._cancelled()

    def end(self, error: Exception) -> None:
        """Interrupt it; its client gets the error when it takes more rows."""
        self._error = self._error or error
        self._interrupt()

    def interrupt(self) -> None:
        """Interrupt DuckDB, if it works for the query."""
        self._interrupt()

    @property
    def works(self) -> bool:
        """Whether DuckDB works for it, rather than wait for its client."""
        return self._working.locked()

    def release_if_ended(self) -> bool:
        """Give back what it holds if it was ended and no part is being done."""
        if self._error is None or not self._working.acquire(blocking=False):
            return False
        try:
            self.release()
        finally:
            self._working.release()
        return True

    def release(self) -> None:
        """Give back what it holds; a second call does nothing."""
        if not self.released:
            self.released = True
            self._release()
            self._release = self._interrupt = _nothing

    def idle_seconds(self, now: float) -> float:
        """Return for how long its client has taken no rows; 0 while DuckDB works."""
        since = self.idle_since
        return 0.0 if since is None else now - since

    @property
    def ended(self) -> bool:
        """Whether it was interrupted, so that it only has to be released."""
        return self._error is not None


class QueryWatch:
    """Watches all queries in one thread, which sleeps while there is none.

    Args:
        seconds: The longest time for a query, from its request until its last row is sent.
        most: How many queries are executed at the same time; others wait.
        growth: The memory that the process took since there were no queries.
        what: What messages call them, and how to make one shorter.
    """

    def __init__(
        self, seconds: float, most: int, growth: MemoryGrowth, what: Watched = QUERIES
    ) -> None:
        self._seconds = seconds
        self._growth = growth
        self._what = what
        self._most = most
        self._watched: set[WatchedQuery] = set()
        self._waiting: list[WatchedQuery] = []
        self._news = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._look, name="batchflow-queries", daemon=True)
        self._thread.start()

    def begin(self, name: bytes, cancelled: Callable[[], bool]) -> WatchedQuery:
        """Return a query once there is a place for it.

        Raises:
            QueryError: There was none in time, or it was cancelled meanwhile.
        """
        query = WatchedQuery(name, time.monotonic() + self._seconds, cancelled)
        with self._news:
            self._waiting.append(query)
            try:
                while not self._closed and not query.ended and not self._has_place(query):
                    self._news.notify_all()
                    self._news.wait(_LOOK_SECONDS)
                    self._end_if_due(query)
            finally:
                self._waiting.remove(query)
            if self._closed:
                query.end(self._ended("the engine closes the store"))
            # Raises if it was ended while it waited.
            query.do(_nothing)
            if not self._watched:
                self._growth.begin()
            self._watched.add(query)
            self._news.notify_all()
        return query

    def end(self, query: WatchedQuery) -> None:
        """Give back what a query holds, and its place."""
        query.release()
        with self._news:
            self._watched.discard(query)
            self._news.notify_all()

    def cancel(self, name: bytes) -> None:
        """End the query with a name, as its client asked for it."""
        with self._news:
            for query in (*self._watched, *self._waiting):
                if query.name == name:
                    query.end(self._ended("its client cancelled it"))
            self._news.notify_all()

    @property
    def closed(self) -> bool:
        """Whether the engine stops serving, so that each call fails."""
        return self._closed

    def close(self) -> None:
        """End all queries, and the thread, which goes on alone if DuckDB takes long to end one."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        self._thread.join(_CLOSING_SECONDS)

    def _has_place(self, query: WatchedQuery) -> bool:
        return self._waiting[0] is query and len(self._watched) < self._most

    def _look(self) -> None:
        with self._news:
            while not self._closed:
                self._news.wait(_LOOK_SECONDS if self._watched else None)
                for query in self._watched:
                    self._end_if_due(query)
                self._end_slowest()
                self._end_largest()
                self._release_ended()
            while self._watched:
                for query in self._watched:
                    # Repeated, as DuckDB forgets an interruption that came before it began.
                    query.end(self._ended("the engine closes the store"))
                self._release_ended()
                self._news.wait(_LOOK_SECONDS)

    def _end_if_due(self, query: WatchedQuery) -> None:
        if query.ended:
            # Once more, as DuckDB forgets an interruption that came before it began.
            query.interrupt()
        elif time.monotonic() > query.deadline:
            query.end(self._took_too_long())
        elif query.gone():
            query.end(self._ended("its client has disconnected"))

    def _end_slowest(self) -> None:
        """End the query whose client takes no rows, where another query waits for its place."""
        if not self._waiting or len(self._watched) < self._most:
            return
        now = time.monotonic()
        slowest = max(self._watched, key=lambda query: query.idle_seconds(now))
        if slowest.idle_seconds(now) > _SLOW_SECONDS:
            found = f"its client took no rows for {_SLOW_SECONDS:g} s while other queries waited"
            slowest.end(self._ended(found))

    def _end_largest(self) -> None:
        """End the queries that are executed, as one of them takes the memory."""
        if not self._watched or not self._growth.is_too_large:
            return
        for query in self._watched:
            if query.works and not query.ended:
                query.end(self._took_too_much())

    def _release_ended(self) -> None:
        released = {query for query in self._watched if query.release_if_ended()}
        if released:
            self._watched -= released
            self._news.notify_all()

    def _took_too_long(self) -> QueryError:
        found, what = f"it took longer than {self._seconds:g} seconds", self._what
        return QueryError(
            f"The {what.noun} was ended, as {found}{what.outcome}: {what.remedy}, or open the "
            "engine with a larger EngineConfig.query_timeout_seconds.",
            found=found,
        )

    def _took_too_much(self) -> QueryError:
        most = self._growth.most_bytes / 1e6
        found, what = f"the engine took {most:,.0f} MB more memory meanwhile", self._what
        return QueryError(
            f"The {what.noun} was ended, as {found}{what.outcome}: make smaller values, or open "
            "the engine with a larger EngineConfig.memory_limit.",
            found=found,
        )

    def _ended(self, found: str) -> QueryError:
        what = self._what
        message = f"The {what.noun} was ended, as {found}{what.outcome}; repeat it."
        return QueryError(message, found=found)


def _nothing() -> None:
    """Do nothing; before DuckDB began, there is nothing to interrupt or to give back."""
