"""Rows as frames of pandas and Polars, with the values that the store has."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from batchflow.columns.value_reading import microseconds, null_rows
from batchflow.store.database.fetching import fetch
from batchflow.store.query.source import Columns, Rows
from batchflow.store.schema.layout import quote

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

# DuckDB gives pandas these as floats.
_EXACT: Final[Mapping[str, Callable[[str], Any]]] = {
    "DECIMAL": Decimal,
    "HUGEINT": int,
    "UHUGEINT": int,
}
# Polars has no UUIDs. A name may contain the word, and is quoted then.
_UUID_TYPE: Final = re.compile(r"(\"[^\"]*\"|'[^']*')|\bUUID\b")


def pandas_frame(rows: Rows) -> pd.DataFrame:
    """Return rows as DuckDB makes a frame of them, but with decimals as Python's objects."""
    columns = rows.columns
    exact = {
        place: _EXACT[kind.partition("(")[0]]
        for place, kind in enumerate(columns.types)
        if kind.partition("(")[0] in _EXACT and not kind.endswith("]")
    }
    if not exact:
        return rows.relation().df()
    frame = rows.relation().select(_cast(columns, dict.fromkeys(exact, "VARCHAR"))).df()
    return _with_values(frame, exact)


def _with_values(frame: pd.DataFrame, exact: Mapping[int, Callable[[str], Any]]) -> pd.DataFrame:
    import pandas as pd

    for place, make in exact.items():
        texts = frame.iloc[:, place]
        # Each value becomes an object, as a column of NumPy has no decimals.
        values = [None if isinstance(text, float) or text is None else make(text) for text in texts]
        frame.isetitem(place, pd.Series(values, index=frame.index, dtype=object))
    return frame


def polars_frame(rows: Rows) -> pl.DataFrame:
    """Return rows as a frame of Polars, with UUIDs as text and intervals as durations."""
    import polars

    columns = rows.columns
    texts = {
        place: _UUID_TYPE.sub(lambda found: found[1] or "VARCHAR", kind)
        for place, kind in enumerate(columns.types)
        if "UUID" in kind
    }
    relation = rows.relation()
    table = fetch(relation.select(_cast(columns, texts)) if texts else relation)
    for place, field in enumerate(table.schema):
        if "interval" in str(field.type):
            column = _with_durations(table.column(place).combine_chunks())
            table = table.set_column(place, pa.field(field.name, column.type), column)
    frame = polars.from_arrow(table)
    assert isinstance(frame, polars.DataFrame)
    return frame


def _with_durations(column: pa.Array) -> pa.Array:
    """Return a column with durations in place of intervals, of which Polars has none."""
    if pa.types.is_interval(column.type):
        return pa.array(microseconds(column), mask=null_rows(column)).cast(pa.duration("us"))
    # Value by value, as a nested interval can't be cast. Few objects have any.
    values = [_duration(value) for value in column.to_pylist()]
    return pa.array(values, _duration_type(column.type))


def _duration(value: Any) -> Any:
    match value:
        case pa.MonthDayNano():
            days, nanoseconds = 30 * value.months + value.days, value.nanoseconds
            return timedelta(days, microseconds=nanoseconds // 1_000)
        case list() | tuple():
            return type(value)(_duration(each) for each in value)
        case dict():
            return {name: _duration(each) for name, each in value.items()}
        case _:
            return value


def _duration_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_interval(kind):
        return pa.duration("us")
    if pa.types.is_list(kind):
        return pa.list_(_duration_type(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(_duration_type(kind.key_type), _duration_type(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _duration_type(field.type)) for field in kind])
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _cast(columns: Columns, types: Mapping[int, str]) -> str:
    """Return a select list of all columns by position, some of them with another type."""
    return ", ".join(
        f"#{place + 1}{f'::{types[place]}' if place in types else ''} AS {quote(name)}"
        for place, name in enumerate(columns.names)
    )
