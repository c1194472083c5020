"""Convert the store's intervals to durations, which Arrow, Polars and pandas can compute with."""

from __future__ import annotations

import pyarrow as pa

from batchflow.columns.value_reading import microseconds, null_rows, read_values
from batchflow.columns.value_writing import write_values
from batchflow.definition.field_type import FieldType, Kind


def with_durations(array: pa.Array, field_type: FieldType) -> pa.Array:
    """Return the column with ``duration[us]`` in place of intervals, also of nested ones."""
    if field_type.kind is Kind.TIMEDELTA:
        return pa.array(microseconds(array), mask=null_rows(array)).cast(pa.duration("us"))
    # Row by row, because a nested interval can't be cast. Few objects have any.
    return write_values(read_values(array, field_type), field_type).array


def holds_durations(field_type: FieldType) -> bool:
    """Return whether a column of this type has intervals, also nested ones."""
    inner = (child for _, child in field_type.children)
    return field_type.kind is Kind.TIMEDELTA or any(map(holds_durations, inner))
