"""Columns of an answer as NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa


def values(column: pa.ChunkedArray) -> np.ndarray:
    """Return numbers as float64, NULL as NaN."""
    return np.asarray(column.cast("float64").to_numpy(), dtype=np.float64)


def texts(column: pa.ChunkedArray) -> list[str]:
    """Return texts; a status is its name."""
    return [str(text) for text in column.to_pylist()]


def microseconds(column: pa.ChunkedArray) -> np.ndarray:
    """Return moments as microseconds since the epoch, int64."""
    import pyarrow as pa

    as_micros = column.cast(pa.timestamp("us", tz="UTC"))
    return np.asarray(as_micros.cast("int64").to_numpy(), dtype=np.int64)


def members(*columns: pa.ChunkedArray) -> list[str]:
    """Return the different texts in the columns: statuses in their order, others as they come."""
    there = dict.fromkeys(text for column in columns for text in texts(column))
    return [name for name in _in_order(columns[0]) if name in there] or list(there)


def places(column: pa.ChunkedArray, names: list[str]) -> np.ndarray:
    """Return where each row's text is among the names, int64."""
    place = {name: at for at, name in enumerate(names)}
    return np.array([place[text] for text in texts(column)], dtype=np.int64)


def _in_order(column: pa.ChunkedArray) -> list[str]:
    """Return all members of an ENUM; of other columns nothing."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type) or not column.num_chunks:
        return []
    names: list[str] = column.chunk(0).dictionary.to_pylist()
    return names
