"""The rows of one query of each shard, as one table that another query reads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from copy import copy
from functools import cached_property, partial
from itertools import groupby
from typing import Any, Final, TypeVar

import pyarrow as pa

from batchflow.operation.parameters import Params
from batchflow.store.database.fetching import fetch
from batchflow.store.database.forks import leak_in_child
from batchflow.store.database.instance import Cursor, in_memory, interrupt
from batchflow.store.query.interruption import interruptible
from batchflow.store.query.local_source import LocalRows, bound
from batchflow.store.query.parse_tree import parse_tree
from batchflow.store.query.relation import Relation
from batchflow.store.query.source import Columns, ResultT, Rows
from batchflow.store.query.tree_parts import nodes
from batchflow.store.schema.layout import quote

RelationT = TypeVar("RelationT", bound=Relation)

UNION: Final = "shards"
"""The name of the table."""

ALL: Final = f"FROM {UNION}"

_STREAM: Final = "batchflow_stream"


class _Memory:
    """An instance of DuckDB in memory; opening one for each question would take longer than it."""

    _current: _Memory | None = None
    _opening = threading.Lock()

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._instance = in_memory()
        leak_in_child(self)

    @classmethod
    def of_process(cls) -> _Memory:
        with cls._opening:
            if cls._current is None or cls._current._pid != os.getpid():
                cls._current = cls()
            return cls._current

    def cursor(self) -> Cursor:
        """Return a cursor of the caller's own, with its own table ``shards``."""
        with self._opening:
            return self._instance.cursor()


os.register_at_fork(after_in_child=_Memory._opening._at_fork_reinit)  # type: ignore[attr-defined]


class UnionSource:
    """Executes queries over the table ``shards``; see `Source`.

    Whenever rows are read, the shards execute their queries, one after the other. Each is open only
    while its rows are being read.

    Args:
        parts: The query of each shard.
        few: Whether these have few rows.
    """

    def __init__(self, parts: Sequence[Relation], *, few: bool) -> None:
        self._parts = parts
        self._few = few

    @contextmanager
    def rows(self, query: str, params: Params) -> Iterator[Rows]:
        """Execute a query; see `Source`."""
        with self._united(query) as cursor:
            yield LocalRows(cursor, bound(cursor, query, params))

    def read(self, query: str, params: Params, action: Callable[[Rows], ResultT]) -> ResultT:
        """Execute a query and return what `action` makes of its rows; see `Source`."""
        with self._united(query) as cursor:
            return interruptible(
                lambda: action(LocalRows(cursor, bound(cursor, query, params))),
                partial(interrupt, cursor),
            )

    def describe(self, query: str, params: Params) -> Columns:
        """Return the columns of a query; see `Source`."""
        with closing(_Memory.of_process().cursor()) as cursor:
            _create_view(cursor, [_empty(columns) for columns, _ in self._groups])
            return LocalRows(cursor, bound(cursor, query, params)).columns

    @cached_property
    def _groups(self) -> list[tuple[Columns, list[Relation]]]:
        """The parts, those beside each other together that have the same columns and types."""
        groups = groupby(self._parts, key=lambda part: (part.columns, part.types))
        return [
            (Columns(tuple(names), tuple(types)), list(parts)) for (names, types), parts in groups
        ]

    @contextmanager
    def _united(self, query: str) -> Iterator[Cursor]:
        """Provide a cursor with the table, as a stream if the query allows that."""
        with ExitStack() as stack:
            cursor = stack.enter_context(closing(_Memory.of_process().cursor()))
            if self._few or not _reads_once(query):
                _create_view(cursor, _kept(cursor, self._parts))
            else:
                _create_view(cursor, _streamed(cursor, self._groups, stack))
            yield cursor


def _reads_once(query: str) -> bool:
    """Return whether a query reads the table once, so that its rows don't have to be kept."""
    tree = parse_tree(query)
    tables = [node for node in nodes(tree) if node.get("type") == "BASE_TABLE"]
    repeats = any(node.get("class") == "SUBQUERY" or node.get("cte_map") for node in nodes(tree))
    return len(tables) <= 1 and not repeats


def _kept(cursor: Cursor, parts: Sequence[Relation]) -> Iterator[str]:
    """Read all rows, and yield the queries for them."""
    for number, part in enumerate(parts):
        # Its types are found as its rows are read, so a closed file is opened once.
        with part._rows() as rows:
            columns = rows.columns
            table = fetch(rows.relation())
        cursor.register(f"{_STREAM}_{number}", table.cast(_without_dictionaries(table.schema)))
        yield _typed(f"{_STREAM}_{number}", columns)


def _streamed(
    cursor: Cursor, groups: Sequence[tuple[Columns, Sequence[Relation]]], stack: ExitStack
) -> Iterator[str]:
    """Register streams that read the rows, and yield the queries for them."""
    for number, (columns, parts) in enumerate(groups):
        stream = _stream(parts)
        # A query that needs no more rows leaves the stream before its end.
        stack.callback(stream.close)
        reader = pa.RecordBatchReader.from_batches(next(stream), stream)
        cursor.register(f"{_STREAM}_{number}", reader)
        yield _typed(f"{_STREAM}_{number}", columns)


def _stream(parts: Sequence[Relation]) -> Generator[Any]:
    """Yield the schema, then the record batches of all parts."""
    schema: pa.Schema | None = None
    for part in parts:
        reader = part.to_arrow_reader()
        try:
            if schema is None:
                schema = _without_dictionaries(reader.schema)
                yield schema
            for batch in reader:
                yield batch if batch.schema == schema else batch.cast(schema)
        finally:
            reader.close()


def _without_dictionaries(schema: pa.Schema) -> pa.Schema:
    # Each shard has a dictionary of its own for the members of an ENUM.
    return pa.schema(
        [
            each.with_type(each.type.value_type) if pa.types.is_dictionary(each.type) else each
            for each in schema
        ]
    )


def _typed(table: str, columns: Columns) -> str:
    """Return the query for the rows with their own types, as an ENUM arrives as text."""
    typed = (
        f"{quote(name)}::{kind} AS {quote(name)}" if kind.startswith("ENUM(") else quote(name)
        for name, kind in zip(columns.names, columns.types, strict=True)
    )
    return f"SELECT {', '.join(typed)} FROM {table}"


def _empty(columns: Columns) -> str:
    typed = (
        f"NULL::{kind} AS {quote(name)}"
        for name, kind in zip(columns.names, columns.types, strict=True)
    )
    return f"SELECT {', '.join(typed)} WHERE false"


def _create_view(cursor: Cursor, tables: Iterable[str]) -> None:
    union = " UNION ALL BY NAME ".join(tables)
    cursor.execute(f"CREATE OR REPLACE TEMP VIEW {UNION} AS {union}")


def united(parts: Sequence[RelationT], then: str, *, few: bool = True) -> RelationT:
    """Return a query over the rows of all parts, as a relation like them.

    Args:
        parts: The query of each shard.
        then: The query over their rows, which are the table ``shards``.
        few: Whether the parts have few rows.
    """
    made = copy(parts[0])
    made.__dict__.pop("_described", None)
    made._source = UnionSource(parts, few=few)
    made._query, made._params, made._question = then, None, None
    return made
