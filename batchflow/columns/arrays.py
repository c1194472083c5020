"""Build single arrays: an Arrow array from several chunks, a NumPy array from any objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

AnyArray = npt.NDArray[Any]


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """Return `column` as a single array, copied only if it has several chunks."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def object_array(values: Sequence[Any]) -> AnyArray:
    """Return a one-dimensional array of objects, even if these are sequences."""
    return np.fromiter(values, dtype=object, count=len(values))
