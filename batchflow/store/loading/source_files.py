"""Parquet, CSV and JSON files as a source: by path or glob, one or many, compressed or not."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, assert_never
from urllib.parse import unquote

from batchflow.errors import SourceError
from batchflow.store.database.duckdb_message import message_of
from batchflow.store.database.instance import Cursor
from batchflow.store.loading.column_match import FOREIGN_ID_COLUMN
from batchflow.store.loading.fitted_table import ReadTable, Wanted
from batchflow.store.loading.source_csv import csv_problem, csv_table
from batchflow.store.loading.source_json import json_table
from batchflow.store.loading.source_parquet import parquet_table


class FileFormat(enum.Enum):
    """The format of a file."""

    PARQUET = "Parquet"
    CSV = "CSV"
    JSON = "JSON"


_FORMATS: Final = {
    ".parquet": FileFormat.PARQUET,
    ".pq": FileFormat.PARQUET,
    ".csv": FileFormat.CSV,
    ".tsv": FileFormat.CSV,
    ".json": FileFormat.JSON,
    ".jsonl": FileFormat.JSON,
    ".ndjson": FileFormat.JSON,
}
_COMPRESSIONS: Final = (".gz", ".zst")
_GLOB_CHARACTERS: Final = "*?["
# Hive's name of a folder for NULL.
_NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"

FilePath = str | os.PathLike[str]


def matching_files(cursor: Cursor, paths: Sequence[FilePath]) -> dict[str, str]:
    """Return the files at paths and globs in their order, each with what was given for it.

    Raises:
        SourceError: There is no file at a path, or the files have several formats or an unknown
            one.
    """
    found: dict[str, str] = {}
    for path in paths:
        given = os.fspath(path)
        for name in _found(cursor, given):
            found.setdefault(name, given)
    file_format, *others = {_format(name) for name in found}
    if others:
        names = (each.value for each in (file_format, *others))
        raise SourceError(
            f"The source has {' and '.join(sorted(names))} files. Load one format at a time."
        )
    return found


def read_file(cursor: Cursor, label: str, path: str, wanted: Wanted) -> tuple[ReadTable, bool]:
    """Return a file as a table, and whether its rows are cheap to read more than once.

    Raises:
        SourceError: The file can't be read, or has a column twice.
    """
    pattern = _escaped(path)
    key = wanted.foreign_id or FOREIGN_ID_COLUMN
    file_format = _format(path)
    match file_format:
        case FileFormat.PARQUET:
            table = parquet_table(cursor, path, pattern)
        case FileFormat.CSV:
            table = csv_table(path, pattern, (*(field.name for field in wanted.fields), key))
        case FileFormat.JSON:
            table = json_table(cursor, path, pattern, wanted.fields, key)
        case _:
            assert_never(file_format)
    relation = cursor.sql(f"FROM {table}")
    columns = dict(zip(relation.columns, relation.types, strict=True))
    folders = _folders(path, columns, wanted)
    return ReadTable(label, table, columns, folders), file_format is FileFormat.PARQUET


def problem_of_file(error: Exception) -> str:
    """Return what is wrong with a file, without its content."""
    return csv_problem(error) or message_of(error)


def _folders(path: str, columns: Iterable[str], wanted: Wanted) -> dict[str, str | None]:
    """Return the texts of the fields that only a folder named ``field=value`` states."""
    own = set(map(str.lower, columns))
    found = {}
    for part in Path(path).parts[:-1]:
        name, equals, value = part.partition("=")
        if equals:
            text = unquote(value)
            found[unquote(name).lower()] = None if text == _NO_VALUE else text
    return {
        field.name: found[field.name.lower()]
        for field in wanted.fields
        if field.name.lower() in found.keys() - own
    }


def _found(cursor: Cursor, path: str) -> list[str]:
    if not path.strip():
        raise SourceError("The path of the source is empty. Give the path or glob of a file.")
    if not path.strip():
        raise SourceError("The source is an empty text. Give the path or glob of files, or SQL.")
    if "://" not in path and Path(path).is_dir():
        example = f"{path.rstrip('/')}/*.parquet"
        raise SourceError(f"{path!r} is a folder. Give its files, like {example!r}.")
    pattern = _escaped(path) if is_file(path) else path
    names = [str(row[0]) for row in cursor.execute("FROM glob(?)", [pattern]).fetchall()]
    if not names:
        raise SourceError(f"There is no file at {path!r}. Give the path or glob of one.")
    return sorted(names)


def is_file(path: str) -> bool:
    """Return whether there is a file at `path`, which may be any text."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def _escaped(path: str) -> str:
    """Return a glob that matches this path alone."""
    return "".join(f"[{c}]" if c in _GLOB_CHARACTERS else c for c in path)


def _format(name: str) -> FileFormat:
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    if suffixes and suffixes[-1] in _COMPRESSIONS:
        suffixes.pop()
    found = _FORMATS.get(suffixes[-1]) if suffixes else None
    if found is None:
        raise SourceError(
            f"The format of {name!r} is unknown, because its name doesn't end in one of "
            f"{', '.join(_FORMATS)} (and {' or '.join(_COMPRESSIONS)}). Rename it, or give SQL "
            "that reads it."
        )
    return found
