"""Open a source of a load as rows that DuckDB can select."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, is_dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pyarrow as pa

from batchflow.errors import QueryError, SourceError
from batchflow.store.database.duckdb_message import in_short, message_of
from batchflow.store.database.instance import Cursor
from batchflow.store.database.staging import lent, unregister
from batchflow.store.loading.column_match import refuse_alike
from batchflow.store.loading.file_shape import FileShape
from batchflow.store.loading.fitted_table import (
    MISFIT,
    NOTE,
    FittedTable,
    ReadTable,
    Wanted,
    fit_table,
)
from batchflow.store.loading.source_arrow import arrow_of, loadable, offers_arrow
from batchflow.store.loading.source_errors import translated
from batchflow.store.loading.source_files import (
    file_shapes,
    is_file,
    is_repeatable,
    problem_of_file,
    read_files,
)
from batchflow.store.loading.source_instance import OutsideRows, Reader, source_instance
from batchflow.store.loading.source_objects import ObjectStream, label_of_checked
from batchflow.store.query.parse_tree import parse_tree
from batchflow.store.query.permission import require_reading
from batchflow.store.query.permitted import SOURCE
from batchflow.store.query.tree_parts import nodes
from batchflow.store.schema.layout import AnyWorkflow

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

SUPPORTED: Final = (
    "a path, a glob or a URL of Parquet, CSV or JSON files, an Arrow table, reader or data set, a "
    "pandas or Polars frame, a DuckDB relation, a table of Delta or Iceberg, SQL text, "
    "or an iterable of objects or mappings"
)
_VIEW: Final = "batchflow_source"
_SQL: Final = re.compile(
    r"(?:[\s(]|--[^\n]*\n|/\*.*?\*/)*(select|from|with|values)\b[\s('\"*\[{]",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class LoadSource:
    """Rows that can be selected.

    Attributes:
        label: What messages call the source.
        columns: The types by column, in the source's order.
        table: The SQL that follows FROM in the store; None if the rows are `outside`.
        outside: The rows of another instance, because the store's own opens no files.
        repeatable: Whether the rows are cheap to read more than once.
        misfit: The column with the position of the first field that doesn't fit, if the source
            was checked already.
        note: The column with a phrase for what was found there, if the source has one.
        fitted: How the source was fitted to the fields already, if it was.
        written: The columns' names in the source, if they are known. DuckDB renames columns that
            differ only in case.
    """

    label: str
    columns: Mapping[str, DuckDBPyType]
    table: str | None = None
    outside: OutsideRows | None = None
    repeatable: bool = False
    misfit: str | None = None
    note: str | None = None
    fitted: FittedTable | None = None
    written: tuple[str, ...] = ()

    @contextmanager
    def tables(
        self,
        store: Cursor,
        columns: Sequence[str],
        watch: Callable[[pa.Table], None] = lambda _: None,
    ) -> Iterator[Iterator[str]]:
        """Yield the SQL of tables in the store with the next rows, one after the other.

        There is at least one. Each table exists until you take the next one. `watch` receives
        rows from outside before they are yielded.
        """
        if self.outside is None:
            yield iter([str(self.table)])
            return
        with (
            self.outside.tables(columns) as tables,
            closing(_one_by_one(store, tables, watch)) as names,
        ):
            yield names


@contextmanager
def open_source(
    cursor: Cursor,
    workflow: AnyWorkflow,
    given: Any,
    wanted: Wanted,
    reader: Reader | None = None,
    begun: Callable[[Cursor], None] = lambda _: None,
) -> Iterator[LoadSource]:
    """Make `given` a source for the cursor until the end of the block.

    Args:
        cursor: A cursor of the store.
        workflow: The workflow whose runs are loaded.
        given: The source; of several files, one after the other.
        wanted: The fields that the load fills.
        reader: Opens a cursor of the instance that reads the files of a load; required for a path.
        begun: Is called with another cursor that executes SQL text, to interrupt it.

    Raises:
        SourceError: It is not a source, or reading it failed, also within the block.
    """
    paths = paths_of(given)
    if is_sql(given):
        opened = _sql(cursor, given, wanted, begun)
    elif paths and reader is not None:
        opened = _file(cursor, paths[0], wanted, reader)
    elif offers_arrow(given):
        opened = _arrow_rows(cursor, given, wanted)
    else:
        opened = _objects(cursor, workflow, given, wanted)
    with opened as source:
        yield source


def is_sql(given: Any) -> bool:
    """Return whether a source is SQL text, and not a path."""
    return isinstance(given, str) and not is_file(given) and _SQL.match(given) is not None


def reads_tables(given: Any) -> bool:
    """Return whether a source is SQL text that reads tables by their names."""
    if not is_sql(given):
        return False
    tree = parse_tree(given)
    named = {
        str(each["key"]) for node in nodes(tree) for each in node.get("cte_map", {}).get("map", ())
    }
    return any(
        node.get("type") == "BASE_TABLE" and node["table_name"] not in named for node in nodes(tree)
    )


def paths_of(given: Any) -> list[str | os.PathLike[str]]:
    """Return the paths and globs of a source; none where it is something else."""
    if isinstance(given, str | os.PathLike):
        return [given]
    if isinstance(given, list | tuple) and all(isinstance(p, str | os.PathLike) for p in given):
        return list(given)
    return []


def _query(text: str) -> str:
    try:
        require_reading(text, SOURCE)
    except QueryError as error:
        raise SourceError(
            f"The SQL can't be read: {error.found}. Give one SELECT or FROM."
        ) from None
    [statement] = duckdb.extract_statements(text)
    return f"({statement.query.strip().rstrip(';')}\n)"


@contextmanager
def _sql(
    cursor: Cursor, given: str, wanted: Wanted, begun: Callable[[Cursor], None]
) -> Iterator[LoadSource]:
    label = "The SQL"
    message = partial(message_of, values=wanted.log_values)
    with translated(label, message):
        query = _query(given)
        source = _within_store(cursor, label, query)
        if source is not None:
            yield replace(source, written=_written(cursor, query))
            return
        with source_instance(cursor) as instance, _unregistered(cursor):
            begun(instance)
            refuse_alike(label, _written(instance, query), wanted.fields, wanted.foreign_id)
            table = ReadTable(label, query, _columns_beyond_store(instance, query))
            yield _fitted(cursor, instance, table, wanted, instance.cursor)


def _written(cursor: Cursor, query: str) -> tuple[str, ...]:
    """Return the names of the columns as the query gives them, also those that occur twice."""
    try:
        described = cursor.execute(f"DESCRIBE {query}").fetchall()
    except duckdb.CatalogException:
        return ()
    return tuple(name for name, *_ in described)


def _within_store(cursor: Cursor, label: str, query: str) -> LoadSource | None:
    """Return the source if the query reads only the store; None if it reads files."""
    try:
        return _described(cursor, label, query)
    except duckdb.PermissionException:
        return None


def _columns_beyond_store(instance: Cursor, query: str) -> dict[str, DuckDBPyType]:
    try:
        return _columns(instance, query)
    except duckdb.CatalogException as error:
        raise SourceError(
            f"The SQL reads files, so it can't also read the store's tables: {in_short(error)} "
            "Read both in a DuckDB connection of your own, and give its relation."
        ) from None


@contextmanager
def _file(
    cursor: Cursor, path: str | os.PathLike[str], wanted: Wanted, reader: Reader
) -> Iterator[LoadSource]:
    name = os.fspath(path)
    label = f"The source {name!r}"
    with translated(label, problem_of_file), reader() as instance:
        shapes = file_shapes(instance, [name], wanted)
        with open_files(cursor, label, shapes[0], [name], wanted, reader) as source:
            yield replace(source, repeatable=is_repeatable(name))


@contextmanager
def open_files(
    cursor: Cursor,
    label: str,
    shape: FileShape,
    paths: Sequence[str],
    wanted: Wanted,
    reader: Reader,
) -> Iterator[LoadSource]:
    """Make files of one shape a source for the cursor until the end of the block.

    Raises:
        SourceError: Reading them failed, also within the block.
    """
    # A cursor of its own, because one with rows that weren't fetched refuses other work.
    with (
        translated(label, problem_of_file),
        reader() as instance,
        _unregistered(cursor),
    ):
        table = read_files(instance, label, shape, paths, wanted)
        yield _fitted(cursor, instance, table, wanted, reader)


def _fitted(
    cursor: Cursor, instance: Cursor, table: ReadTable, wanted: Wanted, beside: Reader
) -> LoadSource:
    """Return a table of a source instance as a source that is fitted to the fields."""
    fitted = fit_table(table, wanted)
    outside = OutsideRows(instance, fitted.table, beside)
    columns = _columns(cursor, _register(cursor, outside.sample))
    return LoadSource(table.label, columns, outside=outside, misfit=MISFIT, fitted=fitted)


def _one_by_one(
    store: Cursor, tables: Iterator[pa.Table], watch: Callable[[pa.Table], None]
) -> Generator[str]:
    for table in tables:
        watch(table)
        with lent(store, _VIEW, table):
            yield _VIEW


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
    return LoadSource(label, _columns(cursor, table), table)


def _columns(cursor: Cursor, table: str) -> dict[str, DuckDBPyType]:
    relation = cursor.sql(f"FROM {table}")
    return dict(zip(relation.columns, relation.types, strict=True))


def _checked(source: LoadSource) -> LoadSource:
    own = {MISFIT, NOTE}
    columns = {name: kind for name, kind in source.columns.items() if name not in own}
    note = NOTE if NOTE in source.columns else None
    return replace(source, columns=columns, misfit=MISFIT, note=note)


@contextmanager
def _arrow_rows(cursor: Cursor, given: Any, wanted: Wanted) -> Iterator[LoadSource]:
    message = partial(message_of, values=wanted.log_values)
    label = f"The {type(given).__name__}"
    failure = partial(getattr, given, "failure", None)
    with translated(label, message):
        arrow = arrow_of(given, wanted.fields)
    # Another process may have sent it.
    label_of_stream = label_of_checked(arrow.schema)
    label = label_of_stream or label
    with _unregistered(cursor), translated(label, message, failure):
        rows = loadable(label, arrow, wanted.names)
        described = _described(cursor, label, _register(cursor, rows))
        source = described if label_of_stream is None else _checked(described)
        yield replace(source, written=tuple(arrow.schema.names))


@contextmanager
def _objects(
    cursor: Cursor, workflow: AnyWorkflow, given: Any, wanted: Wanted
) -> Iterator[LoadSource]:
    stream = ObjectStream(workflow, iterable_of(given), wanted.foreign_id)
    message = partial(message_of, values=wanted.log_values)
    with _unregistered(cursor), translated(stream.label, message, lambda: stream.failure):
        table = _register(cursor, stream.reader())
        yield _checked(_described(cursor, stream.label, table))


def iterable_of(given: Any) -> Iterable[Any]:
    """Return an iterable of objects.

    Raises:
        SourceError: It is something else.
    """
    texts = isinstance(given, str | bytes | Mapping) or is_dataclass(given)
    if texts or not isinstance(given, Iterable):
        raise SourceError(f"A source can't be of type {type(given).__name__}. Give {SUPPORTED}.")
    return given
