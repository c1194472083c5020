"""Write one table to files, batch by batch."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchflow.cli.column_casts import (
    cast_for_csv,
    cast_for_parquet,
    cast_for_spreadsheet,
    folder_columns_as_text,
)
from batchflow.cli.results import csv_parts, record_batches, write_parquet
from batchflow.errors import QueryError

if TYPE_CHECKING:
    from batchflow.store import Relation


class ExportForm(enum.Enum):
    """The forms of exports; the values are the endings of the names."""

    PARQUET = ".parquet"
    CSV = ".csv"
    FOLDER = ""


def write_parquet_file(path: Path, relation: Relation) -> int:
    """Write one Parquet file; return the number of rows."""
    with path.open("wb") as file:
        return write_parquet(file, [cast_for_parquet(relation)])


def write_csv_file(path: Path, relation: Relation, *, spreadsheet: bool) -> int:
    """Write one CSV file; return the number of rows."""
    rows = 0
    cast = cast_for_spreadsheet if spreadsheet else cast_for_csv
    with path.open("w", encoding="utf-8", newline="") as file:
        for count, text in csv_parts([cast(relation)]):
            file.write(text)
            rows += count
    return rows


def write_folder(path: Path, relation: Relation, partition_by: tuple[str, ...]) -> int:
    """Write a folder of Parquet files, with one folder per value; return the number of rows."""
    import pyarrow as pa
    from pyarrow import dataset, parquet

    from batchflow.store.database.duckdb_message import message_of

    path.mkdir()
    # Folders are named by text, and statuses are enums.
    cast = folder_columns_as_text(cast_for_parquet(relation), partition_by)
    counted = _CountedBatches(record_batches([cast]))
    try:
        dataset.write_dataset(
            counted,
            path,
            schema=counted.schema,
            format="parquet",
            partitioning=list(partition_by) or None,
            partitioning_flavor="hive" if partition_by else None,
            existing_data_behavior="overwrite_or_ignore",
        )
        if not counted.rows:
            # Without a file, the folder couldn't be loaded.
            parquet.write_table(counted.schema.empty_table(), path / "part-0.parquet")
    except pa.ArrowInvalid as error:
        raise QueryError(f"The folders can't be written: {message_of(error)}.") from None
    return counted.rows


class _CountedBatches:
    """An iterator over record batches that counts their rows."""

    def __init__(self, batches: Iterator[Any]) -> None:
        self.schema = next(batches)
        self.rows = 0
        self._batches = batches

    def __iter__(self) -> Iterator[Any]:
        for batch in self._batches:
            self.rows += batch.num_rows
            yield batch
