"""How much text, or bytes, one run may leave, and the runs of one chunk together.

So what is in flight stays bounded, and so does a transaction, whatever a step comes up with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MOST_BYTES_OF_A_VALUE: Final = 64 * 1024 * 1024
MOST_BYTES_TOGETHER: Final = 8 * MOST_BYTES_OF_A_VALUE
"""Of one field in one chunk; an Arrow array holds four times as much."""

_SAMPLE: Final = 1024
_JOINED_AT_ONCE: Final = 4096


class TooMuchTogether(Exception):
    """The values of many runs are more than is held at once; those of fewer runs would fit."""


def require_room(values: Sequence[Any], empty: str | bytes) -> None:
    """Make sure that texts, or bytes, aren't too many characters together.

    They are counted before they are copied, as many runs may have the same long text; but of short
    ones, as they mostly are, no more than a sample.

    Raises:
        TooMuchTogether: they are.
    """
    every = max(1, len(values) // _SAMPLE)
    if _characters(values[::every], empty) * every <= MOST_BYTES_OF_A_VALUE:
        return
    if _characters(values, empty) > MOST_BYTES_TOGETHER:
        raise TooMuchTogether


def _characters(values: Sequence[Any], empty: str | bytes) -> int:
    return sum(len(value) for value in values if type(value) is type(empty))


def are_all(values: Sequence[Any], empty: str | bytes) -> bool:
    """Tell whether all values are texts, or all bytes, in a quarter of the time of a look at each.

    Those of subclasses are.
    """
    try:
        for start in range(0, len(values), _JOINED_AT_ONCE):
            empty.join(values[start : start + _JOINED_AT_ONCE])
    except TypeError:
        return False
    return True


def without_long_values(array: pa.Array) -> tuple[pa.Array, dict[int, str]]:
    """Return a column of text or bytes with null for each that is too long, and what these are.

    Raises:
        TooMuchTogether: it didn't get into one array.
    """
    if isinstance(array, pa.ChunkedArray):
        raise TooMuchTogether
    if array.nbytes <= MOST_BYTES_OF_A_VALUE:
        return array, {}
    bytes_each = pc.binary_length(array).fill_null(0).to_numpy()
    long = bytes_each > MOST_BYTES_OF_A_VALUE
    problems = {
        row: f"{bytes_each[row]:,} bytes, where {MOST_BYTES_OF_A_VALUE:,} are the most,"
        for row in np.flatnonzero(long).tolist()
    }
    return pc.if_else(pa.array(long), pa.scalar(None, array.type), array), problems
