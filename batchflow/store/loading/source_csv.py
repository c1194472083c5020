"""CSV files as a source, read as text: a value gets its type where it can be checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from batchflow.store.database.instance import Cursor
from batchflow.store.loading.column_match import refuse_twice
from batchflow.store.schema.layout import literal

# As text, '0005' stays as it is. Without `skip`, DuckDB drops all lines before one that doesn't fit
# the header.
_TEXT: Final = "skip = 0, all_varchar = true, allow_quoted_nulls = false, strict_mode = true"
_NONE: Final = "(empty)"


@dataclass(frozen=True)
class _Dialect:
    """The characters that separate the cells of a file; "" means none for quote and escape."""

    delimiter: str
    quote: str
    escape: str

    @property
    def options(self) -> str:
        return (
            f"delim = {literal(self.delimiter)}, quote = {literal(self.quote)}, "
            f"escape = {literal(self.escape)}"
        )


def csv_table(cursor: Cursor, patterns: Sequence[str]) -> str:
    """Return the SQL of the files' rows.

    Args:
        cursor: A cursor of an instance that may read files.
        patterns: A glob for each file, which matches only this file.

    Raises:
        SourceError: A header names a column twice.
    """
    dialects = {pattern: _sniffed(cursor, pattern) for pattern in patterns}
    for pattern, dialect in dialects.items():
        _check_header(cursor, pattern, dialect)
    alike = groupby(patterns, dialects.__getitem__)
    tables = [_table(list(files), dialect, len(patterns) > 1) for dialect, files in alike]
    if len(tables) == 1:
        return tables[0]
    return f"({' UNION ALL BY NAME '.join(f'FROM {table}' for table in tables)})"


def _table(patterns: Sequence[str], dialect: _Dialect, by_name: bool) -> str:
    files = ", ".join(map(literal, patterns))
    union = ", union_by_name = true" if by_name else ""
    return f"read_csv([{files}], header = true, {_TEXT}, {dialect.options}{union})"


def _sniffed(cursor: Cursor, pattern: str) -> _Dialect:
    """Detect the dialect of a file from its first rows."""
    query = f"SELECT Delimiter, Quote, Escape FROM sniff_csv({literal(pattern)}, {_TEXT})"
    [(delimiter, quote, escape)] = cursor.execute(query).fetchall()
    # If DuckDB finds no quotes, or one that is never closed, it would later read quotes as text.
    if quote == _NONE:
        return _Dialect(delimiter, '"', '"')
    return _Dialect(delimiter, quote, quote if escape == _NONE else escape)


def _check_header(cursor: Cursor, pattern: str, dialect: _Dialect) -> None:
    table = f"read_csv({literal(pattern)}, header = false, {_TEXT}, {dialect.options})"
    # DuckDB would rename the second of two equal columns.
    for cells in cursor.execute(f"FROM {table} LIMIT 1").fetchall():
        refuse_twice(pattern, [cell for cell in cells if cell])
