"""Whatever runs can be loaded from, as something that DuckDB can select from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pyarrow as pa

from batchflow.errors import SourceError
from batchflow.store.database.duckdb_message import in_short, message_of
from batchflow.store.database.instance import Cursor
from batchflow.store.database.staging import unregister
from batchflow.store.loading.source_files import files_table, is_file
from batchflow.store.loading.source_instance import Outside, source_instance
from batchflow.store.loading.source_objects import MISFIT, ObjectStream, label_of_objects
from batchflow.store.schema.layout import AnyWorkflow

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

SUPPORTED: Final = (
    "a path or glob of Parquet, CSV or JSON files, an Arrow table or reader, a pandas or Polars "
    "frame, a DuckDB relation, SQL text, or an iterable of objects"
)
_VIEW: Final = "batchflow_source"
_SQL: Final = re.compile(r"[\s(]*(select|from|with|values)\b[\s('\"*\[{]", re.IGNORECASE)


@dataclass(frozen=True)
class LoadSource:
    """Rows that can be selected.

    Attributes:
        label: what messages call it.
        columns: the types by column, in the source's order.
        table: the SQL that stands after FROM in the store; None where the rows are `outside`.
        outside: the rows of another instance, as the store's opens no files.
        repeatable: whether the rows are cheap to read more than once.
        misfit: the column with the position of the first field that doesn't fit, where the
            source was checked already.
        written: the columns' names as they stand in the source, where that is known; DuckDB gives
            other names to those that are equal but for case.
    """

    label: str
    columns: Mapping[str, DuckDBPyType]
    table: str | None = None
    outside: Outside | None = None
    repeatable: bool = False
    misfit: str | None = None
    written: tuple[str, ...] = ()

    @contextmanager
    def tables(
        self,
        store: Cursor,
        columns: Sequence[str],
        watch: Callable[[pa.Table], None] = lambda _: None,
    ) -> Iterator[Iterator[str]]:
        """Give the SQL of one table after the other that has the next of the rows, in the store.

        There is at least one; a table is there until the next one is asked for. Rows that come
        from outside are shown to `watch` first.
        """
        if self.outside is None:
            yield iter([str(self.table)])
            return
        with self.outside.tables(columns) as tables:
            yield (_watched(store, table, watch) for table in tables)


@contextmanager
def open_source(
    cursor: Cursor,
    workflow: AnyWorkflow,
    given: Any,
    foreign_id: str | None = None,
    log_values: bool = False,
) -> Iterator[LoadSource]:
    """Make `given` a source for the cursor, for as long as the block lasts.

    Messages show values of it only with `log_values`.

    Raises:
        SourceError: it is nothing that runs can be loaded from, or reading it failed, also
            within the block.
    """
    paths = _paths(given)
    if isinstance(given, str) and not is_file(given) and _SQL.match(given):
        opened = _sql(cursor, given, log_values)
    elif paths:
        opened = _files(cursor, workflow, paths)
    else:
        opened = _registered(cursor, workflow, given, foreign_id, log_values)
    with opened as source:
        yield source


@contextmanager
def translated(
    label: str,
    say: Callable[[Exception], str] = in_short,
    failure: Callable[[], BaseException | None] = lambda: None,
) -> Iterator[None]:
    """Raise what DuckDB or Arrow say of a source as a SourceError, without the source's values.

    Args:
        label: what messages call the source.
        say: puts their error in words.
        failure: returns what the source itself raised, if it did.
    """
    try:
        yield
    except duckdb.ConstraintException:
        raise
    # PyArrow's reader hands on what DuckDB says of a file as an OSError.
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        cause = failure()
        if cause is None:
            raise SourceError(f"{label} can't be read: {say(error)}") from None
        raise cause from cause.__cause__


def _paths(given: Any) -> list[str | os.PathLike[str]]:
    if isinstance(given, str | os.PathLike):
        return [given]
    if isinstance(given, list | tuple) and all(isinstance(p, str | os.PathLike) for p in given):
        return list(given)
    return []


def _query(text: str) -> str:
    statements = duckdb.extract_statements(text)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise SourceError("The SQL is more than a query; give one SELECT or FROM.")
    return f"({statements[0].query.strip().rstrip(';')}\n)"


@contextmanager
def _sql(cursor: Cursor, given: str, log_values: bool) -> Iterator[LoadSource]:
    label = "The SQL"
    with translated(label, partial(message_of, values=log_values)):
        query = _query(given)
        source = _within_store(cursor, label, query)
        if source is not None:
            yield source
            return
        with source_instance(cursor) as instance, _unregistered(cursor):
            yield _outside(cursor, label, _beyond_store(instance, query))


def _within_store(cursor: Cursor, label: str, query: str) -> LoadSource | None:
    """Return the source if the query reads nothing but the store."""
    try:
        return _described(cursor, label, query)
    except duckdb.PermissionException:
        return None


def _beyond_store(instance: Cursor, query: str) -> Outside:
    try:
        return Outside(instance, query)
    except duckdb.CatalogException as error:
        raise SourceError(
            f"The SQL reads files, and so can't read the store's tables: {in_short(error)} "
            "Read both in a DuckDB of your own, and give its relation."
        ) from None


@contextmanager
def _files(
    cursor: Cursor, workflow: AnyWorkflow, paths: Sequence[str | os.PathLike[str]]
) -> Iterator[LoadSource]:
    label = f"The source {str(paths[0])!r}" + (" and others" if len(paths) > 1 else "")
    with translated(label), source_instance(cursor) as instance, _unregistered(cursor):
        table, repeatable = files_table(instance, paths, workflow.fields)
        source = _outside(cursor, label, Outside(instance, table))
        yield replace(source, repeatable=repeatable)


def _outside(cursor: Cursor, label: str, outside: Outside) -> LoadSource:
    described = _described(cursor, label, _register(cursor, outside.sample))
    return replace(described, table=None, outside=outside)


def _watched(store: Cursor, table: pa.Table, watch: Callable[[pa.Table], None]) -> str:
    watch(table)
    return _register(store, table)


def _register(cursor: Cursor, arrow: Any) -> str:
    cursor.register(_VIEW, arrow)
    return _VIEW


@contextmanager
def _unregistered(cursor: Cursor) -> Iterator[None]:
    try:
        yield
    finally:
        unregister(cursor, _VIEW)


def _described(cursor: Cursor, label: str, table: str) -> LoadSource:
    relation = cursor.sql(f"FROM {table}")
    return LoadSource(label, dict(zip(relation.columns, relation.types, strict=True)), table)


def _checked(source: LoadSource) -> LoadSource:
    columns = {name: kind for name, kind in source.columns.items() if name != MISFIT}
    return replace(source, columns=columns, misfit=MISFIT)


@contextmanager
def _registered(
    cursor: Cursor, workflow: AnyWorkflow, given: Any, foreign_id: str | None, log_values: bool
) -> Iterator[LoadSource]:
    say = partial(message_of, values=log_values)
    label = f"The {type(given).__name__}"
    stream = None
    with translated(label, say):
        if hasattr(given, "__arrow_c_stream__"):
            arrow = _arrow(given)
        else:
            stream = ObjectStream(workflow, _iterable(given), foreign_id)
            arrow = stream.reader()
    # Another process may have sent a stream of objects.
    of_objects = label_of_objects(arrow.schema)
    label = of_objects or label
    with _unregistered(cursor), translated(label, say, lambda: stream.failure if stream else None):
        described = _described(cursor, label, _register(cursor, arrow))
        if of_objects is None:
            yield replace(described, written=tuple(arrow.schema.names))
        else:
            yield _checked(described)


def _arrow(given: Any) -> pa.Table | pa.RecordBatchReader:
    if isinstance(given, pa.Table | pa.RecordBatchReader):
        return given
    try:
        return pa.RecordBatchReader.from_stream(given)
    except pa.ArrowException:
        raise
    except ValueError as error:
        # pandas refuses columns of the same name.
        raise SourceError(f"The {type(given).__name__} can't be read: {error}.") from None


def _iterable(given: Any) -> Iterable[Any]:
    texts = isinstance(given, str | bytes | Mapping) or is_dataclass(given)
    if texts or not isinstance(given, Iterable):
        raise SourceError(
            f"Runs can't be loaded from what is of type {type(given).__name__}; give {SUPPORTED}."
        )
    return given
