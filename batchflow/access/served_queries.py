"""The queries of other processes, in the store of an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from batchflow.access.memory_growth import MemoryGrowth
from batchflow.access.query_watch import QueryWatch, WatchedQuery
from batchflow.access.wire import SentQuery, unpacked_query, with_columns
from batchflow.store.database.instance import Cursor, close, interrupt
from batchflow.store.query.local_source import LocalRows
from batchflow.store.query.relation import BATCH_ROWS, executing
from batchflow.store.query.run_counts import only_counts_runs

if TYPE_CHECKING:
    from batchflow.store import Store

# More at once would use the memory that commits need.
_MOST_QUERIES: Final = 4
# One for what DuckDB counts, and the same for all else.
_MEMORY_LIMITS: Final = 2
# Rows are fetched in small parts, because their size isn't known before.
_FETCHED_ROWS: Final = 512
_BATCH_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True)
class _Counted:
    """An answer that holds until the next commit.

    Attributes:
        commits: The number of commits before it.
        schema: The schema of its batches.
        batches: Its rows.
    """

    commits: int | None
    schema: pa.Schema
    batches: Sequence[pa.RecordBatch]


class ServedQueries:
    """Executes queries within their limits; used by Flight's threads.

    Args:
        store: The store.
        timeout_seconds: The longest time for a query, from its request until its last row is sent.
    """

    def __init__(self, store: Store, timeout_seconds: float) -> None:
        self._store = store
        growth = MemoryGrowth.of_store(store.connection.cursor(), times=_MEMORY_LIMITS)
        self._watch = QueryWatch(timeout_seconds, _MOST_QUERIES, growth)
        # By the query's text.
        self._counted: dict[str, _Counted] = {}

    @property
    def closed(self) -> bool:
        """Whether the engine stops serving, so that each call fails."""
        return self._watch.closed

    def close(self) -> None:
        """End all queries."""
        self._watch.close()

    def described(self, packed: bytes, cancelled: Callable[[], bool]) -> dict[str, Any]:
        """Return the columns of a query."""
        sent = unpacked_query(packed)
        query = self._watch.begin(sent.name, cancelled)
        try:
            columns = query.do(partial(self._bound, query, sent)).columns
        finally:
            self._watch.end(query)
        return {"names": columns.names, "types": columns.types}

    def batches(
        self, packed: bytes, cancelled: Callable[[], bool]
    ) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """Execute a query; return its schema and its batches, which have to be read to the end."""
        sent = unpacked_query(packed)
        if only_counts_runs(sent.query) and not sent.params:
            counted = self._count(sent, cancelled)
            return counted.schema, iter(counted.batches)
        answer = self._sent(sent, cancelled)
        schema = next(answer)
        assert isinstance(schema, pa.Schema)
        return schema, answer

    def _count(self, sent: SentQuery, cancelled: Callable[[], bool]) -> _Counted:
        """Count the runs, unless nothing was committed since they were counted."""
        commits = self._store.connection.commits
        known = self._counted.get(sent.query)
        if known is not None and known.commits == commits and not self.closed:
            return known
        schema, *batches = self._sent(sent, cancelled)
        counted = _Counted(commits, schema, batches)
        if commits is not None and commits == self._store.connection.commits:
            self._counted[sent.query] = counted
        return counted

    def _sent(self, sent: SentQuery, cancelled: Callable[[], bool]) -> Iterator[Any]:
        """Yield the schema, then the batches; within the limits from the binding on."""
        query = self._watch.begin(sent.name, cancelled)
        try:
            rows = query.do(partial(self._bound, query, sent))
            with executing():
                stream = query.do(partial(rows.reader, _FETCHED_ROWS))
                query.holds(rows.interrupt, partial(_let_go, stream, rows))
                yield with_columns(stream.schema, rows.columns)
                while (batch := query.do(partial(_next_batch, stream))) is not None:
                    yield batch
        finally:
            self._watch.end(query)

    def _bound(self, query: WatchedQuery, sent: SentQuery) -> LocalRows:
        def begun(cursor: Cursor) -> None:
            query.holds(partial(interrupt, cursor), partial(close, cursor))

        return self._store.source.bind(sent.query, sent.params, begun)

    def cancel(self, name: bytes) -> None:
        """End the query with a name, if it is still being executed."""
        self._watch.cancel(name)


def _next_batch(stream: pa.RecordBatchReader) -> pa.RecordBatch | None:
    """Return the next rows, of bounded size; None at the end."""
    fetched: list[pa.RecordBatch] = []
    rows = size = 0
    while rows < BATCH_ROWS and size < _BATCH_BYTES:
        batch = next(stream, None)
        if batch is None:
            break
        fetched.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
    if len(fetched) < 2:
        return fetched[0] if fetched else None
    return pa.Table.from_batches(fetched).combine_chunks().to_batches()[0]


def _let_go(stream: pa.RecordBatchReader, rows: LocalRows) -> None:
    stream.close()
    rows.close()
