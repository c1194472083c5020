"""Write one table to files, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchflow.cli.column_casts import cast_for_csv, cast_for_parquet, folder_columns_as_text
from batchflow.cli.results import csv_parts, record_batches, write_parquet
from batchflow.errors import QueryError

if TYPE_CHECKING:
    from batchflow.store import Relation


def write_export(relation: Relation, path: Path, suffix: str, partition_by: tuple[str, ...]) -> int:
    """Write ``.parquet``, ``.csv`` or a folder; return the number of rows."""
    match suffix:
        case ".csv":
            return _write_csv(path, cast_for_csv(relation))
        case ".parquet":
            with path.open("wb") as file:
                return write_parquet(file, [cast_for_parquet(relation)])
        case _:
            # Folders are named by text, and statuses are enums.
            return _write_folder(
                path, folder_columns_as_text(cast_for_parquet(relation), partition_by), partition_by
            )


def _write_csv(path: Path, relation: Relation) -> int:
    rows = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        for count, text in csv_parts([relation]):
            file.write(text)
            rows += count
    return rows


def _write_folder(path: Path, relation: Relation, partition_by: tuple[str, ...]) -> int:
    import pyarrow as pa
    from pyarrow import dataset

    from batchflow.store.database.duckdb_message import message_of

    path.mkdir()
    counted = _CountedBatches(record_batches([relation]))
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
