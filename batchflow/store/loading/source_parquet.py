"""Parquet files as a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batchflow.errors import SourceError
from batchflow.store.database.instance import Cursor
from batchflow.store.loading.column_match import refuse_twice
from batchflow.store.loading.file_shape import NAMED, files_in_sql

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_MICROSECOND: Final = 1_000
_Element = tuple[object, ...]
_ELEMENT: Final = (
    "name, type, coalesce(num_children, 0), repetition_type, type_length, converted_type, scale, "
    "precision, logical_type, duckdb_type"
)


@dataclass(frozen=True)
class ParquetShape:
    """The schema of a Parquet file: its columns and what is nested in them, the root first."""

    elements: tuple[_Element, ...]

    def table(self, files: str) -> str:
        """Return the SQL of the rows of files."""
        return f"read_parquet({files}, {NAMED})"


def parquet_shapes(cursor: Cursor, paths: Sequence[str]) -> list[ParquetShape]:
    """Return the schemas of files.

    Raises:
        SourceError: A file has a column twice, or times of the type INT96 with nanoseconds.
    """
    found: dict[str, list[_Element]] = {path: [] for path in paths}
    query = f"SELECT file_name, {_ELEMENT} FROM parquet_schema({files_in_sql(paths)})"
    # Row by row, because a file's columns are a tree. They are few.
    for path, *element in cursor.execute(query).fetchall():
        found[path].append(tuple(element))
    for path, elements in found.items():
        rows = iter(elements[1:])
        refuse_twice(path, [_column(rows) for _ in range(_children(elements[0]))])
        if any(kind == "INT96" for _, kind, *_ in elements):
            _refuse_nanoseconds(path)
    return [ParquetShape(tuple(elements)) for elements in found.values()]


def _column(rows: Iterator[_Element]) -> str:
    """Consume the next column and all that is nested in it, and return its name."""
    element = next(rows)
    for _ in range(_children(element)):
        _column(rows)
    return str(element[0])


def _children(element: _Element) -> int:
    return int(str(element[2]))


def _refuse_nanoseconds(path: str) -> None:
    """Raise SourceError if a time of the type INT96 has nanoseconds; DuckDB would cut them off."""
    # Few files have this type, and PyArrow's reader loads many modules.
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        columns = [file.schema.column(at) for at in range(len(file.schema))]
    for name in (column.path for column in columns if column.physical_type == "INT96"):
        fine, coarse = (
            _values(parquet.ParquetFile(path, coerce_int96_timestamp_unit=unit), name)
            for unit in ("ns", "us")
        )
        # Nanoseconds wrap around for years beyond 2262; so do these products, by as much.
        if np.any(fine != coarse * _MICROSECOND):
            raise SourceError(
                f"The file {path!r} has times with nanoseconds in column {name!r}, but a field "
                "keeps microseconds. Round them first."
            )


def _values(file: ParquetFile, column: str) -> npt.NDArray[np.int64]:
    with file:
        table = file.read(columns=[column])
    values = table.column(0).combine_chunks()
    while not pa.types.is_timestamp(values.type):
        # Of nested columns, only this one was read.
        values = values.flatten()
        values = values[0] if isinstance(values, list) else values
    numbers = values.drop_null().cast(pa.int64()).to_numpy(zero_copy_only=False)
    return np.asarray(numbers, np.int64)
