"""A batch step's decisions about single runs, which take precedence over its answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batchflow.columns.array_writing import to_array
from batchflow.columns.missing import is_missing
from batchflow.columns.row_order import WrongLengthError, counted_values
from batchflow.definition.outcome import Outcome
from batchflow.errors import StepError

UNMARKED = -1


class Marks:
    """The last mark of each run.

    Attributes:
        outcomes: Codes of `Outcome`, or `UNMARKED`, shape (n,).
    """

    def __init__(self, rows: int) -> None:
        self.outcomes: npt.NDArray[np.int8] = np.full(rows, UNMARKED, dtype=np.int8)
        self._notes: list[BaseException | str | None] = [None]
        self._note_of: npt.NDArray[np.int32] = np.zeros(rows, dtype=np.int32)

    def mark(self, mask: Any, outcome: Outcome, note: BaseException | str | None = None) -> None:
        """Mark the runs where `mask` is true with an outcome, and with its error or reason."""
        here = as_mask(mask, len(self.outcomes))
        self.outcomes[here] = outcome
        self._note_of[here] = len(self._notes)
        self._notes.append(note)

    @property
    def complete(self) -> bool:
        """Whether every run is marked."""
        return bool((self.outcomes != UNMARKED).all())

    def errors(self) -> list[tuple[list[int], BaseException]]:
        """Return each error with the rows that are marked as failed with it."""
        return [(rows, note) for rows, note in self._noted() if isinstance(note, BaseException)]

    def reasons(self) -> dict[int, str]:
        """Return the reason of each run that is marked as paused or cancelled, by row."""
        return {row: note for rows, note in self._noted() if isinstance(note, str) for row in rows}

    def _noted(self) -> list[tuple[list[int], BaseException | str | None]]:
        notes = enumerate(self._notes)
        found = [(np.flatnonzero(self._note_of == at).tolist(), note) for at, note in notes if note]
        return [(rows, note) for rows, note in found if rows]


def as_mask(mask: Any, rows: int) -> npt.NDArray[np.bool_]:
    """Return `mask` as a NumPy array of bools, with False for null.

    Raises:
        TypeError: The mask isn't made of bools.
        ColumnShapeError: The mask has more or fewer values than there are runs, or their order
            isn't known.
    """
    column = np.full(rows, mask) if _is_one_bool(mask) else to_array(mask, rows)
    if isinstance(column, pa.Array) and pa.types.is_boolean(column.type):
        column = column.fill_null(False).to_numpy(zero_copy_only=False)
    elif isinstance(column, np.ma.MaskedArray):
        column = column.filled(False)
    values = np.asarray(column)
    if values.dtype == object:
        values = _bools_of(values)
    if values.dtype != bool:
        raise TypeError(f"The mask is made of {values.dtype}. Give one bool for each run.")
    if values.shape != (rows,):
        raise WrongLengthError(f"a mask with {counted_values(values.size)}", rows)
    return values


def _is_one_bool(mask: Any) -> bool:
    return isinstance(mask, bool | np.bool_) or (
        isinstance(mask, np.ndarray) and mask.ndim == 0 and mask.dtype == bool
    )


def _bools_of(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return objects as bools, with False for no value, if all of them are bools."""
    known = np.array([False if v is None or is_missing(v) else v for v in values.ravel()], object)
    if not {bool, np.bool_} >= set(map(type, known)):
        return values
    return known.reshape(values.shape).astype(bool)


def exception_of(error: BaseException | type[BaseException] | str) -> BaseException:
    """Return an exception, an instance of an exception class, or a `StepError` with a text.

    Raises:
        TypeError: `error` is none of these.
    """
    if isinstance(error, BaseException):
        return error
    if isinstance(error, type) and issubclass(error, BaseException):
        return error()
    if isinstance(error, str):
        return StepError(error)
    raise TypeError(f"The error has type {type(error).__name__}. Give an exception or a text.")
