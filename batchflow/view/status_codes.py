"""Statuses by their codes, for steps that compute the statuses of a batch as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batchflow.columns.array_writing import to_array
from batchflow.columns.row_order import WrongLengthError, counted_values


@dataclass(frozen=True, slots=True, eq=False)
class StatusCodes:
    """The answer of a batch step that gives the status of each run by its code.

    The code of a status is its position among the members of the workflow's status type, from 0.
    `Batch.codes` creates it, and the step returns it.

    Attributes:
        codes: The codes, shape (n,).
        stays: Where there is no code, shape (n,). The step skips these runs.
    """

    codes: npt.NDArray[np.int64]
    stays: npt.NDArray[np.bool_]


def status_codes(values: Any, rows: int) -> StatusCodes:
    """Return a column of ints, which may have gaps, as codes.

    Raises:
        TypeError: The column isn't made of ints.
        ColumnShapeError: It has more or fewer values than runs, or their order isn't known.
    """
    column = to_array(values, rows)
    if len(column) != rows:
        raise WrongLengthError(counted_values(len(column)), rows)
    if isinstance(column, pa.Array) and pa.types.is_integer(column.type):
        stays = column.is_null().to_numpy(zero_copy_only=False)
        return StatusCodes(column.fill_null(0).cast(pa.int64()).to_numpy(), stays)
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype == object:
        column = np.ma.MaskedArray(*_ints_of(column))
    if not isinstance(column, np.ndarray) or column.ndim != 1 or column.dtype.kind not in "iu":
        raise TypeError("The codes aren't ints. Give one int, or None, for each run.")
    stays = np.ma.getmaskarray(column)
    return StatusCodes(np.ma.filled(column, 0).astype(np.int64), stays)


def _ints_of(column: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    stays = np.array([value is None for value in column], np.bool_)
    if set(map(type, column[~stays])) <= {int, np.int64}:
        return np.where(stays, 0, column).astype(np.int64), stays
    return column, stays
