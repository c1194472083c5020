"""Parquet, CSV and JSON files as a source: by path or glob, one or many, compressed or not."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, assert_never
from urllib.parse import unquote

from batchflow.errors import SourceError
from batchflow.store.database.duckdb_message import message_of
from batchflow.store.database.instance import Cursor
from batchflow.store.database.spill import DOWNLOADS
from batchflow.store.loading.column_match import FOREIGN_ID_COLUMN
from batchflow.store.loading.file_name import FileFormat, format_of
from batchflow.store.loading.file_shape import (
    FILE,
    WRITTEN,
    FileShape,
    absent_marks,
    escaped,
    files_in_sql,
    lacked_marks,
    refused_marks,
)
from batchflow.store.loading.fitted_table import ReadTable, Wanted
from batchflow.store.loading.source_csv import csv_problem, csv_shape
from batchflow.store.loading.source_json import json_problem, json_shapes
from batchflow.store.loading.source_parquet import parquet_shapes
from batchflow.store.schema.layout import literal, quote

# A file of one record in each line has no line if it has no record.
_LINES: Final = (".jsonl", ".ndjson")
# Hive's name of a folder for NULL.
_NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"

FilePath = str | os.PathLike[str]


def file_shapes(cursor: Cursor, paths: Sequence[str], wanted: Wanted) -> list[FileShape]:
    """Return how each of some files of one format is read.

    Raises:
        SourceError: A file is empty or can't be read, or has a column twice.
    """
    for path in paths:
        _refuse_empty(path)
    key = wanted.foreign_id or FOREIGN_ID_COLUMN
    file_format = format_of(paths[0])
    match file_format:
        case FileFormat.PARQUET:
            return [*parquet_shapes(cursor, paths)]
        case FileFormat.CSV:
            return [csv_shape(path, wanted.names) for path in paths]
        case FileFormat.JSON:
            return [*json_shapes(cursor, paths, wanted.fields, key)]
        case _:
            assert_never(file_format)


def _refuse_empty(path: str) -> None:
    if Path(path).suffix.lower() in _LINES:
        return
    if is_file(path) and Path(path).stat().st_size == 0:
        raise SourceError(
            f"The file {path!r} is empty: it has 0 bytes. Write it again if it should have "
            "records, and remove it or leave it out of the source if there are none."
        )


def read_files(
    cursor: Cursor, label: str, shape: FileShape, paths: Sequence[str], wanted: Wanted
) -> ReadTable:
    """Return files of one shape as a table, in which each row has its file's path in FILE."""
    table = shape.table(files_in_sql(paths))
    relation = cursor.sql(f"FROM {table}")
    columns = dict(zip(relation.columns, relation.types, strict=True))
    refused, absent, lacked = refused_marks(columns), absent_marks(columns), lacked_marks(columns)
    written = WRITTEN if columns.pop(WRITTEN, None) else None
    for name in (FILE, *refused.values(), *absent.values(), *lacked.values()):
        del columns[name]
    own = set(map(str.lower, columns))
    folders = [name for name in folder_texts(paths[0], wanted) if name.lower() not in own]
    texts = {path: folder_texts(path, wanted) for path in paths}
    stated = {name: f"{FILE}_{name}" for name in folders}
    if stated:
        values = (
            f"{_by_file({path: texts[path][name] for path in paths})} AS {quote(column)}"
            for name, column in stated.items()
        )
        table = f"(SELECT *, {', '.join(values)} FROM {table})"
    marks = (refused, absent, lacked, written)
    return ReadTable(label, table, columns, stated, *marks, of_files=True)


def is_repeatable(path: str) -> bool:
    """Return whether the rows of a file are cheap to read more than once."""
    return format_of(path) is FileFormat.PARQUET


def folder_texts(path: str, wanted: Wanted) -> dict[str, str | None]:
    """Return the texts of the fields for which a path has a folder named ``field=value``."""
    found = {}
    parts = Path(path).parts[:-1]
    # Of the copy of a file at a URL, the folders around the copies mean nothing.
    copies = [at for at, part in enumerate(parts) if part.startswith(DOWNLOADS)]
    for part in parts[copies[-1] if copies else 0 :]:
        name, equals, value = part.partition("=")
        if equals:
            text = unquote(value)
            found[unquote(name).lower()] = None if text == _NO_VALUE else text
    names = (field.name for field in wanted.fields)
    return {name: found[name.lower()] for name in names if name.lower() in found}


def _by_file(texts: Mapping[str, str | None]) -> str:
    """Return the SQL of the text of a row's file."""
    if len(set(texts.values())) == 1:
        return _text(next(iter(texts.values())))
    entries = ", ".join(f"{literal(path)}: {_text(text)}" for path, text in texts.items())
    return f"map_extract_value(MAP {{{entries}}}, {quote(FILE)})"


def _text(text: str | None) -> str:
    return "CAST(NULL AS VARCHAR)" if text is None else literal(text)


def problem_of_file(error: Exception) -> str:
    """Return what is wrong with a file, without its content."""
    return csv_problem(error) or json_problem(error) or message_of(error)


def matching_files(cursor: Cursor, path: str) -> list[str]:
    """Return the files at a path or glob.

    Raises:
        SourceError: There is none.
    """
    if not path.strip():
        raise SourceError("The path of the source is empty. Give the path or glob of a file.")
    if Path(path).is_dir():
        example = f"{path.rstrip('/')}/*.parquet"
        raise SourceError(f"{path!r} is a folder. Give its files, like {example!r}.")
    pattern = escaped(path) if is_file(path) else path
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
