"""Recognise files that batchflow wrote, so that no other file is replaced by mistake."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Final

# Columns that each export of runs, transitions or errors has, in all versions.
_MARKS: Final = (
    frozenset({"seq", "run_id", "foreign_id", "status", "run_state"}),
    frozenset({"seq", "run_id", "from_status", "to_status", "committed_at"}),
    frozenset({"seq", "run_id", "status", "step", "fingerprint"}),
)
WRITER_KEY: Final = b"batchflow"
"""The key in the metadata of each Parquet file that a command writes."""


def is_csv_export(path: Path) -> bool:
    """Return whether a path is a CSV file with the columns of an export."""
    if not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        try:
            return _has_marks(next(csv.reader(file), []))
        except csv.Error:
            return False


def is_parquet_export(path: Path) -> bool:
    """Return whether a path is a Parquet file that a command wrote."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        return False
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError):
        return False
    return WRITER_KEY in (schema.metadata or {}) or _has_marks(schema.names)


def is_folder_export(path: Path) -> bool:
    """Return whether a path is a folder with nothing but Parquet files that a command wrote."""
    if not path.is_dir():
        return False
    return all(
        is_folder_export(each) if each.is_dir() else is_parquet_export(each)
        for each in path.iterdir()
    )


def _has_marks(columns: Iterable[str]) -> bool:
    found = set(columns)
    return any(marks <= found for marks in _MARKS)
