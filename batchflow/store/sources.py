"""Whatever runs can be loaded from, as something that DuckDB can select from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pyarrow as pa

from batchflow.errors import SourceError
from batchflow.store.connection import Cursor
from batchflow.store.layout import AnyWorkflow
from batchflow.store.source_files import files_table, is_file
from batchflow.store.source_objects import MISFIT, ObjectStream

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

SUPPORTED: Final = (
    "a path or glob of Parquet, CSV or JSON files, an Arrow table or reader, a pandas or Polars "
    "frame, a DuckDB relation, SQL text, or an iterable of objects"
)
_VIEW: Final = "batchflow_source"
_SQL: Final = re.compile(r"[\s(]*(select|from|with|values)\b[\s('\"*\[{]", re.IGNORECASE)
# DuckDB adds the line that it stumbled over, which may hold what is nobody else's business.
_NOT_SHOWN: Final = ("Original Line", "LINE ", "Possible ", "*", "^", "  ")


@dataclass(frozen=True)
class Source:
    """Rows that can be selected.

    Attributes:
        label: what messages call it.
        table: the SQL that stands after FROM.
        columns: the types by column, in the source's order.
        position: the SQL of a row's place from 0, without gaps, where the source has it; it can
            then be read more than once.
        misfit: the column with the position of the first field that doesn't fit, where the
            source was checked already.
        written: the columns' names as they stand in the source, where that is known; DuckDB gives
            other names to those that are equal but for case.
    """

    label: str
    table: str
    columns: Mapping[str, DuckDBPyType]
    position: str | None = None
    misfit: str | None = None
    written: tuple[str, ...] = ()


@contextmanager
def open_source(cursor: Cursor, workflow: AnyWorkflow, given: Any) -> Iterator[Source]:
    """Make `given` a source for the cursor, for as long as the block lasts.

    Raises:
        SourceError: it is nothing that runs can be loaded from, or reading it failed, also
            within the block.
    """
    paths = _paths(given)
    if isinstance(given, str) and not is_file(given) and _SQL.match(given):
        with translated("The SQL"):
            yield _described(cursor, "The SQL", _query(given))
    elif paths:
        label = f"The source {str(paths[0])!r}" + (" and others" if len(paths) > 1 else "")
        with translated(label):
            table, position = files_table(cursor, paths, workflow.fields)
            yield _described(cursor, label, table, position=position)
    else:
        with _registered(cursor, workflow, given) as source:
            yield source


@contextmanager
def translated(
    label: str, failure: Callable[[], BaseException | None] = lambda: None
) -> Iterator[None]:
    """Raise what DuckDB or Arrow say of a source as a SourceError, without the source's values."""
    try:
        yield
    except duckdb.ConstraintException:
        raise
    except (duckdb.Error, pa.ArrowException) as error:
        cause = failure()
        if cause is None:
            raise SourceError(f"{label} can't be read: {_without_values(error)}") from None
        if isinstance(cause, SourceError) or not isinstance(cause, Exception):
            raise cause from None
        raise SourceError(
            f"{label} failed with {type(cause).__name__} before its end, so nothing was loaded; "
            "see its cause."
        ) from cause


def _without_values(error: Exception) -> str:
    lines = str(error).splitlines()
    shown = [line for line in lines if line.strip() and not line.startswith(_NOT_SHOWN)]
    return " ".join(shown[:3]).strip() or type(error).__name__


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


def _described(cursor: Cursor, label: str, table: str, position: str | None = None) -> Source:
    relation = cursor.sql(f"FROM {table}")
    columns = dict(zip(relation.columns, relation.types, strict=True))
    misfit = MISFIT if columns.pop(MISFIT, None) else None
    return Source(label, table, columns, position, misfit)


@contextmanager
def _registered(cursor: Cursor, workflow: AnyWorkflow, given: Any) -> Iterator[Source]:
    label = f"The {type(given).__name__}"
    stream = None
    with translated(label):
        if hasattr(given, "__arrow_c_stream__"):
            arrow = _arrow(given)
        else:
            stream = ObjectStream(workflow, _iterable(given))
            arrow = stream.reader()
    cursor.register(_VIEW, arrow)
    try:
        with translated(label, lambda: stream.failure if stream else None):
            described = _described(cursor, label, _VIEW)
            yield replace(described, written=tuple(arrow.schema.names))
    finally:
        cursor.unregister(_VIEW)


def _arrow(given: Any) -> pa.Table | pa.RecordBatchReader:
    if isinstance(given, pa.Table | pa.RecordBatchReader):
        return given
    try:
        return pa.RecordBatchReader.from_stream(given)
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
