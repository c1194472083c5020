"""The interfaces of a place that executes queries, and of the rows that it returns."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from batchflow.operation.parameters import Params

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Columns:
    """The columns of a query.

    Attributes:
        names: Their names.
        types: Their SQL types.
    """

    names: tuple[str, ...]
    types: tuple[str, ...]


class Rows(Protocol):
    """The rows of one query, to be read once and while their source is open."""

    @property
    def columns(self) -> Columns:
        """Return the columns."""

    def relation(self) -> duckdb.DuckDBPyRelation:
        """Return the rows as a relation of DuckDB's."""

    def tuples(self) -> list[tuple[Any, ...]]:
        """Return the rows as Python's values."""

    def reader(self, batch_rows: int) -> pa.RecordBatchReader:
        """Return the rows as a stream of record batches."""

    def interrupt(self) -> None:
        """End the query's execution, from any thread."""


class Source(Protocol):
    """A store that executes queries: open in this process, in another one, or in none."""

    def rows(self, query: str, params: Params) -> AbstractContextManager[Rows]:
        """Execute one query that only reads; nothing stays open after the block.

        Raises:
            QueryError: It isn't one statement that reads, or DuckDB refuses it.
        """

    def read(self, query: str, params: Params, action: Callable[[Rows], ResultT]) -> ResultT:
        """Execute one query and return what `action` makes of its rows.

        Where the engine that executes it ends meanwhile, all of it may be repeated.

        Raises:
            QueryError: As for `rows`.
        """

    def describe(self, query: str, params: Params) -> Columns:
        """Return the columns of a query without executing it.

        Raises:
            QueryError: As for `rows`.
        """
