"""Recognise files that batchflow wrote, so that no other file is replaced by mistake."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from batchflow.export.form import ExportForm

# Columns that each export of runs, transitions or errors has, in all versions.
_MARKS: Final = (
    frozenset({"seq", "run_id", "foreign_id", "status", "run_state"}),
    frozenset({"seq", "run_id", "from_status", "to_status", "committed_at"}),
    frozenset({"seq", "run_id", "status", "step", "fingerprint"}),
)
WRITER_KEY: Final = b"batchflow"
"""The key in the metadata of each Parquet file that a command writes."""


def is_export(path: Path, form: ExportForm, *, is_folder: bool) -> bool:
    """Return whether a path is a file of a form that batchflow wrote, or a folder of only these."""
    if is_folder:
        return path.is_dir() and _is_folder_export(path, form, frozenset())
    return path.is_file() and _is_file_export(path, form, frozenset())


def is_parquet_export(path: Path) -> bool:
    """Return whether a path is a Parquet file that a command wrote."""
    return path.is_file() and _is_file_export(path, ExportForm.PARQUET, frozenset())


def _is_folder_export(path: Path, form: ExportForm, named: frozenset[str]) -> bool:
    return all(
        _is_folder_export(each, form, named | {unquote(each.name.partition("=")[0])})
        if each.is_dir()
        else _is_file_export(each, form, named)
        for each in path.iterdir()
    )


def _is_file_export(path: Path, form: ExportForm, named: frozenset[str]) -> bool:
    """Return whether a file is an export, of which folders name some columns."""
    match form:
        case ExportForm.PARQUET:
            return _is_parquet_export(path, named)
        case ExportForm.CSV:
            return _has_marks(_csv_columns(path), named)
        case ExportForm.JSON:
            return _has_marks(_json_keys(path), named)


def _is_parquet_export(path: Path, named: frozenset[str]) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError):
        return False
    return WRITER_KEY in (schema.metadata or {}) or _has_marks(schema.names, named)


def _csv_columns(path: Path) -> Iterable[str]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        try:
            return next(csv.reader(file), [])
        except csv.Error:
            return []


def _json_keys(path: Path) -> Iterable[str]:
    with path.open("rb") as file:
        try:
            found = json.loads(file.readline())
        except ValueError:
            return []
    return found if isinstance(found, dict) else []


def _has_marks(columns: Iterable[str], named: frozenset[str]) -> bool:
    found = named | set(columns)
    return any(marks <= found for marks in _MARKS)
