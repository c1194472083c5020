"""Parquet, CSV and JSON files as a source: by path or glob, one or many, compressed or not."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, assert_never

from batchflow.definition.fields import Field
from batchflow.errors import SourceError
from batchflow.store.database.instance import Cursor
from batchflow.store.loading.column_fit import text_type
from batchflow.store.loading.column_match import matched_fields, refuse_twice
from batchflow.store.loading.source_csv import csv_table
from batchflow.store.schema.layout import literal, quote


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

# All rows are examined, because a key may first occur at the end.
_JSON_DETECTION: Final = "sample_size = -1, maximum_depth = 1, map_inference_threshold = -1"

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
    _format_of_all(found)
    return found


def files_table(
    cursor: Cursor, paths: Sequence[FilePath], fields: Sequence[Field]
) -> tuple[str, bool]:
    """Return the SQL of the files' rows, and whether these are cheap to read more than once.

    Raises:
        SourceError: There is no file at a path, the files have several formats or an unknown one,
            or a file has a column twice.
    """
    found = matching_files(cursor, paths)
    file_format = _format_of_all(found)
    patterns = [_escaped(name) for name in found]
    files = f"[{', '.join(map(literal, patterns))}]"
    by_name = ", union_by_name = true" if len(found) > 1 else ""
    match file_format:
        case FileFormat.PARQUET:
            _check_columns(cursor, files)
            return f"read_parquet({files}{by_name})", True
        case FileFormat.CSV:
            return csv_table(cursor, patterns), False
        case FileFormat.JSON:
            return _json_table(cursor, f"{files}{by_name}", fields), False
        case _:
            assert_never(file_format)


def _found(cursor: Cursor, path: str) -> list[str]:
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


def _format_of_all(names: Iterable[str]) -> FileFormat:
    file_format, *others = {_format(name) for name in names}
    if others:
        found = (each.value for each in (file_format, *others))
        raise SourceError(
            f"The source has {' and '.join(sorted(found))} files. Load one format at a time."
        )
    return file_format


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


def _check_columns(cursor: Cursor, files: str) -> None:
    """Raise SourceError if a Parquet file has a column twice; DuckDB would rename one."""
    query = f"SELECT file_name, name, coalesce(num_children, 0) FROM parquet_schema({files})"
    # Row by row, because a file's columns are a tree with the root first. They are few.
    rows = iter(cursor.execute(query).fetchall())
    for name, _, columns in rows:
        refuse_twice(name, [_column(rows) for _ in range(columns)])


def _column(rows: Iterator[tuple[str, str, int]]) -> str:
    """Consume the next column and all that is nested in it, and return its name."""
    _, name, children = next(rows)
    for _ in range(children):
        _column(rows)
    return name


def _json_table(cursor: Cursor, files: str, fields: Sequence[Field]) -> str:
    names = cursor.sql(f"FROM read_json({files}, {_JSON_DETECTION})").columns
    matched = matched_fields(names, fields)
    shapes = (text_type(matched[n].type) if n in matched else "VARCHAR" for n in names)
    pairs = (f"{quote(n)}: {literal(s)}" for n, s in zip(names, shapes, strict=True))
    return f"read_json({files}, columns = {{{', '.join(pairs)}}})"
