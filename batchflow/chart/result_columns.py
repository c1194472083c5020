"""Columns of a query result as NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa


def values(column: pa.ChunkedArray) -> np.ndarray:
    """Return numbers as float64, with NaN for NULL."""
    return np.asarray(column.cast("float64").to_numpy(), dtype=np.float64)


def texts(column: pa.ChunkedArray) -> list[str]:
    """Return texts; statuses are returned as their names."""
    return [str(text) for text in column.to_pylist()]


def microseconds(column: pa.ChunkedArray) -> np.ndarray:
    """Return times as microseconds since the epoch, int64."""
    import pyarrow as pa

    as_micros = column.cast(pa.timestamp("us", tz="UTC"))
    return np.asarray(as_micros.cast("int64").to_numpy(), dtype=np.int64)


def members(*columns: pa.ChunkedArray) -> list[str]:
    """Return the distinct texts in the columns; statuses are in their order of definition."""
    present = dict.fromkeys(text for column in columns for text in texts(column))
    return [name for name in _enum_members(columns[0]) if name in present] or list(present)


def all_members(column: pa.ChunkedArray) -> list[str]:
    """Return all statuses in their order of definition, also those that no row has."""
    return _enum_members(column) or members(column)


def places(column: pa.ChunkedArray, names: list[str]) -> np.ndarray:
    """Return the position of each row's text in `names`, int64."""
    place = {name: at for at, name in enumerate(names)}
    return np.array([place[text] for text in texts(column)], dtype=np.int64)


def _enum_members(column: pa.ChunkedArray) -> list[str]:
    """Return all members of an ENUM column, and an empty list for other columns."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type) or not column.num_chunks:
        return []
    names: list[str] = column.chunk(0).dictionary.to_pylist()
    return names
