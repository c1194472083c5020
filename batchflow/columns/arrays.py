"""Make one Arrow array of several pieces, and a NumPy array of any objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

AnyArray = npt.NDArray[Any]


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """Return `column` as a single array, copied only when it has several pieces."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def object_array(values: Sequence[Any]) -> AnyArray:
    """Return a one-dimensional array of objects, whatever these are."""
    return np.fromiter(values, dtype=object, count=len(values))
