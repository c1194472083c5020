"""Write records to files and tables with the libraries that users have.

A writer returns what it makes of the values, where that differs: some can't distinguish an empty
text from no value. `columns` are the names of the fields that it writes.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv as arrow_csv
from records import NAMES, TYPES, Record

from batchflow.definition.fields import FieldType, Kind

Rows = Mapping[str, Record]
"""The records by foreign id."""

KEY = "foreign_id"
FLAT = frozenset(name for name, kind in TYPES.items() if not kind.kind.nested)


def arrow_type(field_type: FieldType, *, in_parquet: bool) -> pa.DataType:
    """Return the Arrow type of a field, without durations for Parquet, which has none."""
    children = [
        (name, arrow_type(child, in_parquet=in_parquet)) for name, child in field_type.children
    ]
    match field_type.kind:
        case Kind.LIST:
            return pa.list_(children[0][1])
        case Kind.MAP:
            return pa.map_(children[0][1], children[1][1])
        case Kind.STRUCT:
            return pa.struct(children)
        case Kind.TIMEDELTA if in_parquet:
            return pa.string()
        case _:
            return field_type.arrow


def plain(value: Any, field_type: FieldType, *, in_parquet: bool = False) -> Any:
    """Return a value as Arrow takes it."""
    if value is None:
        return None
    if field_type.kind.nested:
        return _parts(
            value, field_type, lambda part, kind: plain(part, kind, in_parquet=in_parquet)
        )
    match field_type.kind:
        case Kind.ENUM:
            return value.name
        case Kind.UUID:
            return value.bytes
        case Kind.TIMEDELTA if in_parquet:
            return duration_text(value)
        case _:
            return value


def _parts(value: Any, field_type: FieldType, of: Callable[[Any, FieldType], Any]) -> Any:
    """Return a nested value as lists and dicts, with `of` applied to its parts."""
    match field_type.kind:
        case Kind.LIST:
            return [of(each, field_type.child("item")) for each in value]
        case Kind.MAP:
            return {key: of(each, field_type.child("value")) for key, each in value.items()}
        case _:
            return {name: of(getattr(value, name), child) for name, child in field_type.children}


def arrow_table(rows: Rows, columns: Sequence[str], *, in_parquet: bool = False) -> pa.Table:
    """Return the rows as a table with the fields' own types."""
    arrays: dict[str, pa.Array] = {KEY: pa.array(rows, pa.string())}
    for name in columns:
        values = [
            plain(getattr(row, name), TYPES[name], in_parquet=in_parquet) for row in rows.values()
        ]
        arrays[name] = pa.array(values, arrow_type(TYPES[name], in_parquet=in_parquet))
    return pa.table(arrays)


def duration_text(value: dt.timedelta) -> str:
    """Return a duration in a format that docs/loading.md lists."""
    microseconds = value // dt.timedelta.resolution
    seconds, fraction = divmod(abs(microseconds), 1_000_000)
    clock = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:06}"
    return f"-{clock}" if microseconds < 0 else clock


def cell(value: Any, field_type: FieldType) -> str | None:
    """Return a value as text that docs/loading.md lists, by Python alone."""
    if value is None:
        return None
    if field_type.kind.nested:
        return json.dumps(json_ready(value, field_type))
    return _CELLS.get(field_type.kind, str)(value)


def json_ready(value: Any, field_type: FieldType) -> Any:
    """Return a value for `json.dumps`, with texts for what JSON doesn't have."""
    if value is None or field_type.kind in (Kind.BOOL, Kind.INT):
        return value
    if field_type.kind.nested:
        return _parts(value, field_type, json_ready)
    finite = field_type.kind is Kind.FLOAT and math.isfinite(value)
    return value if finite else cell(value, field_type)


_CELLS: dict[Kind, Callable[[Any], str]] = {
    Kind.BOOL: lambda value: str(value).lower(),
    Kind.FLOAT: repr,
    Kind.DECIMAL: lambda value: format(value, "f"),
    Kind.BYTES: lambda value: "".join(f"\\x{byte:02x}" for byte in value),
    Kind.TIMEDELTA: duration_text,
    Kind.ENUM: lambda value: value.name,
}


def cells(rows: Rows, columns: Sequence[str]) -> list[list[str | None]]:
    """Return the rows as texts, with the foreign ids first."""
    return [
        [key, *(cell(getattr(row, name), TYPES[name]) for name in columns)]
        for key, row in rows.items()
    ]


def parquet_of_arrow(path: Path, rows: Rows, columns: Sequence[str]) -> None:
    pq.write_table(arrow_table(rows, columns, in_parquet=True), path)


def parquet_of_pandas(path: Path, rows: Rows, columns: Sequence[str]) -> None:
    table = arrow_table(rows, columns, in_parquet=True)
    table.to_pandas(types_mapper=pd.ArrowDtype).to_parquet(path)


def parquet_of_polars(path: Path, rows: Rows, columns: Sequence[str]) -> None:
    polars_frame(rows, columns, in_parquet=True).write_parquet(path)


def polars_frame(rows: Rows, columns: Sequence[str], *, in_parquet: bool = False) -> pl.DataFrame:
    frame = pl.from_arrow(arrow_table(rows, columns, in_parquet=in_parquet))
    assert isinstance(frame, pl.DataFrame)
    return frame


def parquet_of_text(path: Path, rows: Rows, columns: Sequence[str]) -> None:
    """Write each column as text."""
    texts = zip(*cells(rows, columns), strict=True) if rows else [[] for _ in (KEY, *columns)]
    arrays = [pa.array(list(column), pa.string()) for column in texts]
    pq.write_table(pa.table(arrays, [KEY, *columns]), path)


def csv_of_text(path: Path, rows: Rows, columns: Sequence[str]) -> None:
    """Write each value in quotes, and no value without."""
    lines = [[KEY, *columns], *cells(rows, columns)]
    text = "\n".join(",".join(map(_quoted, line)) for line in lines)
    path.write_text(text + "\n", "utf-8", newline="")


def _quoted(text: str | None) -> str:
    return "" if text is None else '"' + text.replace('"', '""') + '"'


def csv_of_arrow(path: Path, rows: Rows, columns: Sequence[str]) -> None:
    # Its writer refuses bytes, UUIDs and nested values.
    own = [name for name in columns if name in FLAT - {"raw", "code"}]
    table = arrow_table(rows, own, in_parquet=True)
    for name in columns:
        if name not in own:
            table = table.append_column(name, cell_column(rows, name))
    arrow_csv.write_csv(table, path)


def cell_column(rows: Rows, name: str) -> pa.Array:
    """Return a column as text."""
    return pa.array([cell(getattr(row, name), TYPES[name]) for row in rows.values()], pa.string())


def csv_of_polars(path: Path, rows: Rows, columns: Sequence[str]) -> None:
    flat = [name for name in columns if name in FLAT - {"raw", "code", "took"}]
    frame = polars_frame(rows, flat)
    for name in columns:
        if name not in flat:
            frame = frame.with_columns(
                pl.Series(name, cell_column(rows, name).to_pylist(), pl.String)
            )
    frame.write_csv(path)


def csv_of_standard_library(path: Path, rows: Rows, columns: Sequence[str]) -> None:
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=";", quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerows([[KEY, *columns], *cells(rows, columns)])
    path.write_text("\ufeff" + written.getvalue(), "utf-8", newline="")


def csv_of_pandas(path: Path, rows: Rows, columns: Sequence[str]) -> None:
    frame = pd.DataFrame(cells(rows, columns), columns=[KEY, *columns], dtype=object)
    frame.to_csv(path, index=False, quoting=csv.QUOTE_ALL)


def json_of_standard_library(path: Path, rows: Rows, columns: Sequence[str]) -> None:
    objects = [
        {KEY: key, **{name: json_ready(getattr(row, name), TYPES[name]) for name in columns}}
        for key, row in rows.items()
    ]
    path.write_text(json.dumps(objects, indent=1, ensure_ascii=False), "utf-8")


def json_with_decimals(path: Path, rows: Rows, columns: Sequence[str]) -> None:
    """Write one object on each line, with decimals as numbers."""
    lines = []
    for key, row in rows.items():
        members = {KEY: json.dumps(key)}
        for name in columns:
            value = getattr(row, name)
            number = isinstance(value, Decimal)
            members[name] = (
                format(value, "f") if number else json.dumps(json_ready(value, TYPES[name]))
            )
        lines.append(",".join(f"{json.dumps(name)}:{text}" for name, text in members.items()))
    path.write_text("".join(f"{{{line}}}\n" for line in lines), "utf-8")


def json_of_polars(path: Path, rows: Rows, columns: Sequence[str]) -> None:
    polars_frame(rows, columns).write_ndjson(path)


Writer = Callable[[Path, Rows, Sequence[str]], None]
WRITERS: Mapping[str, Sequence[Writer]] = {
    "parquet": (parquet_of_arrow, parquet_of_pandas, parquet_of_polars, parquet_of_text),
    "csv": (
        *(csv_of_text, csv_of_arrow, csv_of_polars),
        *(csv_of_standard_library, csv_of_pandas),
    ),
    "json": (json_of_standard_library, json_with_decimals, json_of_polars),
}
# These have one form for an empty text and for no value.
WITHOUT_NULL: frozenset[Writer] = frozenset({csv_of_standard_library, csv_of_pandas})

IN_POLARS = frozenset(NAMES) - {"code", "notes", "deep"}
# All others write all fields. Polars writes NaN and infinities to JSON as no value.
WRITTEN: Mapping[Writer, frozenset[str]] = {
    parquet_of_polars: IN_POLARS,
    json_of_polars: FLAT - {"code", "raw", "took", "share"},
}
