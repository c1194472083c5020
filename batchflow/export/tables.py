"""Finished runs in a table of a SQL database, each exactly once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from batchflow.credentials import without_credentials
from batchflow.errors import ExportError
from batchflow.export.column_casts import is_nested, refuse_duplicate_names

if TYPE_CHECKING:
    from batchflow.operation import ExportPart
    from batchflow.store.query.relation import Relation

_STAGE: Final = "batchflow_stage"
_KEY: Final = "run_id"
# Columns that cross as they are, and what they are in a new table. All others cross as text.
_PLAIN: Final = {
    "BOOLEAN": "boolean",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "VARCHAR": "text",
    "BLOB": "bytea",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
}
_AS_TEXT: Final = {
    "UUID": "uuid",
    "INTERVAL": "interval",
    "TIME": "time",
    **dict.fromkeys(("UBIGINT", "HUGEINT"), "numeric"),
    "UHUGEINT": "numeric",
}
_WIDENED: Final = {
    "TINYINT": "SMALLINT",
    "UTINYINT": "SMALLINT",
    "USMALLINT": "INTEGER",
    "UINTEGER": "BIGINT",
}
_DECIMAL: Final = re.compile(r"DECIMAL(\(\d+,\d+\))")


@dataclass(frozen=True)
class TableParts:
    """Parts of a hand-over in a table.

    Attributes:
        url: The database's URL, with what is secret in it.
        table: The table.
    """

    url: str
    table: str

    @property
    def shown(self) -> str:
        """The destination of the runs, without what is secret in it."""
        return f"{without_credentials(self.url)}, table {self.table}"

    @property
    def destination(self) -> str:
        """The same."""
        return self.shown

    def within(self, folder: str) -> TableParts:  # noqa: ARG002 - a table has no folders
        """Return the table: run ids differ between shards, so all of them share it."""
        return self

    def write(self, part: ExportPart, since: str, relation: Relation) -> tuple[int, list[str]]:  # noqa: ARG002
        """Insert the runs of a part; return the number of new ones, and no files."""
        return insert_rows(self.url, self.table, relation), []


def insert_rows(url: str, table: str, relation: Relation) -> int:
    """Insert rows into a table, in one transaction; return the number of new ones.

    A row whose run id the table has already is left out, so this can be repeated. A table that
    doesn't exist is created. One that does gets those columns that it has.

    Raises:
        ExportError: The database refuses it; nothing was inserted.
    """
    from batchflow.store.urls.database import connected

    refuse_duplicate_names(relation, "A table of a database")
    kinds = dict(zip(relation.columns, relation.types, strict=True))
    rows = relation.select(*(f"{_crossing(n, k)} AS {_name(n)}" for n, k in kinds.items()))
    with (
        connected(url, f"The runs can't be written to the table {table!r}", ExportError) as opened,
        opened.cursor() as cursor,
    ):
        types = _types(cursor, table)
        if not types:
            types = {name: _type_in_table(kind) for name, kind in kinds.items()}
            columns = ", ".join(f"{_name(name)} {kind}" for name, kind in types.items())
            cursor.execute(f"CREATE TABLE {_path(table)} ({columns}, PRIMARY KEY ({_KEY}))")
        if _KEY not in types:
            raise ExportError(
                f"The table {table!r} has no column {_KEY!r}, by which each run is written once. "
                "Add one with a unique index, or name a table that doesn't exist."
            )
        cursor.adbc_ingest(_STAGE, rows.to_arrow_reader(), mode="create", temporary=True)
        inserted = _insert(cursor, table, {n: t for n, t in types.items() if n in kinds})
        opened.commit()
    return inserted


def _insert(cursor: Any, table: str, types: dict[str, str]) -> int:
    names = ", ".join(map(_name, types))
    casts = ", ".join(f"CAST({_name(name)} AS {kind})" for name, kind in types.items())
    cursor.execute(
        f"WITH inserted AS (INSERT INTO {_path(table)} ({names}) SELECT {casts} "
        f"FROM pg_temp.{_STAGE} ON CONFLICT ({_KEY}) DO NOTHING RETURNING 1) "
        "SELECT count(*) FROM inserted"
    )
    [(inserted,)] = cursor.fetchall()
    return int(inserted)


def _types(cursor: Any, table: str) -> dict[str, str]:
    """Return the types of a table's columns; none if there is no such table."""
    cursor.execute(
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute "
        f"WHERE attrelid = to_regclass({_literal(_path(table))}) AND attnum > 0 "
        "AND NOT attisdropped AND attgenerated = ''"
    )
    return dict(cursor.fetchall())


def _crossing(name: str, kind: str) -> str:
    """Return the SQL of a column as it is sent."""
    from batchflow.store.query.json_value import json_value

    if kind in _PLAIN:
        return _name(name)
    if kind in _WIDENED:
        return f"CAST({_name(name)} AS {_WIDENED[kind]})"
    return json_value(kind, _name(name)) if is_nested(kind) else f"CAST({_name(name)} AS VARCHAR)"


def _type_in_table(kind: str) -> str:
    if kind in _WIDENED:
        return _PLAIN[_WIDENED[kind]]
    decimal = _DECIMAL.fullmatch(kind)
    if decimal:
        return f"numeric{decimal[1]}"
    found = _PLAIN.get(kind) or _AS_TEXT.get(kind)
    return found or ("jsonb" if is_nested(kind) or kind == "JSON" else "text")


def _path(table: str) -> str:
    """Return the SQL of a table's name, which may have its schema before a dot."""
    return ".".join(map(_name, table.split(".")))


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
