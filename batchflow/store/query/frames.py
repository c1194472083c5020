"""Rows as frames of pandas and Polars, with the values that the store has."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np
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
# In lists, DuckDB gives pandas these as floats, or as times without their zone.
_EXACT_IN_LISTS: Final = re.compile(r"DECIMAL\(|HUGEINT|TIMESTAMP WITH TIME ZONE")
_LIST: Final = re.compile(r".*\[\d*\]", re.DOTALL)
# Polars has no UUIDs. A name may contain the word, and is quoted then.
_UUID_TYPE: Final = re.compile(r"(\"[^\"]*\"|'[^']*')|\bUUID\b")


def require_library(name: str, method: str) -> None:
    """Raise ImportError unless the library of a frame is installed."""
    if importlib.util.find_spec(name) is None:
        raise ImportError(
            f"{method} needs {name}, which isn't installed. Install it with: pip install {name}"
        )


def pandas_frame(rows: Rows) -> pd.DataFrame:
    """Return rows as DuckDB makes a frame of them, but with the exact values as Python's objects.

    These are decimals, and decimals and times in lists.
    """
    columns = rows.columns
    kinds = dict(enumerate(columns.types))
    numbers = {at: _EXACT[name] for at, kind in kinds.items() if (name := _name(kind)) in _EXACT}
    lists = {at for at, kind in kinds.items() if _is_exact_list(kind)}
    if not numbers and not lists:
        return rows.relation().df()
    # DuckDB gives the members of a struct as Python's objects.
    selected = {at: f"#{at + 1}::VARCHAR" for at in numbers}
    selected |= {at: f"{{v: #{at + 1}}}" for at in lists}
    frame = rows.relation().select(_selected(columns, selected)).df()
    return _with_lists(_with_numbers(frame, numbers), lists)


def _name(kind: str) -> str:
    """Return the name of a type without its parameters; that of a list is no number's."""
    return "" if _LIST.fullmatch(kind) else kind.partition("(")[0]


def _is_exact_list(kind: str) -> bool:
    return _LIST.fullmatch(kind) is not None and _EXACT_IN_LISTS.search(kind) is not None


def _with_numbers(frame: pd.DataFrame, numbers: Mapping[int, Callable[[str], Any]]) -> pd.DataFrame:
    import pandas as pd

    for place, make in numbers.items():
        texts = frame.iloc[:, place]
        # Each value becomes an object, as a column of NumPy has no decimals.
        values = [None if isinstance(text, float) or text is None else make(text) for text in texts]
        frame.isetitem(place, pd.Series(values, index=frame.index, dtype=object))
    return frame


def _with_lists(frame: pd.DataFrame, lists: Iterable[int]) -> pd.DataFrame:
    import pandas as pd

    for place in lists:
        values = [_array(packed["v"]) for packed in frame.iloc[:, place]]
        frame.isetitem(place, pd.Series(values, index=frame.index, dtype=object))
    return frame


def _array(values: list[Any] | tuple[Any, ...] | None) -> Any:
    """Return a list as an array of objects, as DuckDB has lists in a frame."""
    import pandas as pd

    if values is None:
        return pd.NA
    array = np.empty(len(values), object)
    array[:] = values
    return array


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
    selected = {place: f"#{place + 1}::{kind}" for place, kind in texts.items()}
    table = fetch(relation.select(_selected(columns, selected)) if texts else relation)
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


def _selected(columns: Columns, expressions: Mapping[int, str]) -> str:
    """Return a select list of all columns by position, some of them by an expression over it."""
    return ", ".join(
        f"{expressions.get(at, f'#{at + 1}')} AS {quote(name)}"
        for at, name in enumerate(columns.names)
    )
