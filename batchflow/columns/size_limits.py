"""Limits on the text and bytes of one value, and of one field in one chunk.

They bound what is in flight and what a transaction writes, whatever a step assigns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MAX_BYTES_PER_VALUE: Final = 64 * 1024 * 1024
MAX_BYTES_PER_COLUMN: Final = 8 * MAX_BYTES_PER_VALUE
"""For one field in one chunk. An Arrow array can hold four times as much."""

_SAMPLE: Final = 1024
_JOINED_AT_ONCE: Final = 4096


class ColumnTooLargeError(Exception):
    """A field's values are too large together. Those of fewer runs would fit."""


def require_room(values: Sequence[Any], empty: str | bytes) -> None:
    """Check that the texts, or bytes, aren't too long together.

    The length is computed before the values are copied, because many runs may share the same long
    text. A sample is enough if the values are short, as they mostly are.

    Raises:
        ColumnTooLargeError: The values are too long together.
    """
    every = max(1, len(values) // _SAMPLE)
    if _characters(values[::every], empty) * every <= MAX_BYTES_PER_VALUE:
        return
    if _characters(values, empty) > MAX_BYTES_PER_COLUMN:
        raise ColumnTooLargeError


def _characters(values: Sequence[Any], empty: str | bytes) -> int:
    return sum(len(value) for value in values if type(value) is type(empty))


def are_all(values: Sequence[Any], empty: str | bytes) -> bool:
    """Return whether all values are texts, or all are bytes; instances of subclasses count too.

    Joining them takes a quarter of the time of checking each value's type.
    """
    try:
        for start in range(0, len(values), _JOINED_AT_ONCE):
            empty.join(values[start : start + _JOINED_AT_ONCE])
    except TypeError:
        return False
    return True


def without_long_values(array: pa.Array) -> tuple[pa.Array, dict[int, str]]:
    """Return a text or bytes column with null for each value that is too long, and the problems.

    Raises:
        ColumnTooLargeError: The values didn't fit into one Arrow array.
    """
    if isinstance(array, pa.ChunkedArray):
        raise ColumnTooLargeError
    if array.nbytes <= MAX_BYTES_PER_VALUE:
        return array, {}
    bytes_each = pc.binary_length(array).fill_null(0).to_numpy()
    too_long = bytes_each > MAX_BYTES_PER_VALUE
    problems = {
        row: f"{bytes_each[row]:,} bytes (the maximum is {MAX_BYTES_PER_VALUE:,})"
        for row in np.flatnonzero(too_long).tolist()
    }
    return pc.if_else(pa.array(too_long), pa.scalar(None, array.type), array), problems
