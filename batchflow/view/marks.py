"""What a batch step decides about single runs, before any status that it answers with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batchflow.columns.array_writing import WrongLengthError, to_array
from batchflow.definition.outcome import Outcome
from batchflow.definition.reason import checked_reason
from batchflow.errors import StepError

UNMARKED = -1


class Marks:
    """Keep the last mark of each run.

    Attributes:
        outcomes: shape (n,), codes of `Outcome`, or `UNMARKED`.
    """

    def __init__(self, rows: int) -> None:
        self.outcomes: npt.NDArray[np.int8] = np.full(rows, UNMARKED, dtype=np.int8)
        self._notes: list[BaseException | str | None] = [None]
        self._note_of: npt.NDArray[np.int32] = np.zeros(rows, dtype=np.int32)

    def fail(self, mask: Any, error: BaseException | type[BaseException] | str) -> None:
        """Mark runs as failed with `error`."""
        self._mark(mask, Outcome.FAILED, _as_exception(error))

    def skip(self, mask: Any) -> None:
        """Mark runs as skipped."""
        self._mark(mask, Outcome.SKIPPED, None)

    def repeat(self, mask: Any) -> None:
        """Mark runs as to be repeated."""
        self._mark(mask, Outcome.REPEATED, None)

    def pause(self, mask: Any, reason: str) -> None:
        """Mark runs as paused for `reason`."""
        self._mark(mask, Outcome.PAUSED, checked_reason(reason))

    def cancel(self, mask: Any, reason: str) -> None:
        """Mark runs as cancelled for `reason`."""
        self._mark(mask, Outcome.CANCELLED, checked_reason(reason))

    @property
    def complete(self) -> bool:
        """Whether every run is marked."""
        return bool((self.outcomes != UNMARKED).all())

    def errors(self) -> list[tuple[list[int], BaseException]]:
        """Return each error with the rows that failed with it."""
        return [(rows, note) for rows, note in self._noted() if isinstance(note, BaseException)]

    def reasons(self) -> dict[int, str]:
        """Return the reason of each run that is to be paused or cancelled."""
        return {row: note for rows, note in self._noted() if isinstance(note, str) for row in rows}

    def _noted(self) -> list[tuple[list[int], BaseException | str | None]]:
        notes = enumerate(self._notes)
        found = [(np.flatnonzero(self._note_of == at).tolist(), note) for at, note in notes if note]
        return [(rows, note) for rows, note in found if rows]

    def _mark(self, mask: Any, outcome: Outcome, note: BaseException | str | None) -> None:
        here = as_mask(mask, len(self.outcomes))
        self.outcomes[here] = outcome
        self._note_of[here] = len(self._notes)
        self._notes.append(note)


def as_mask(mask: Any, rows: int) -> npt.NDArray[np.bool_]:
    """Return `mask` as a NumPy array of bools, null being false.

    Raises:
        TypeError: it isn't made of bools.
        ValueError: it has more or fewer values than there are runs.
    """
    column = np.full(rows, mask) if isinstance(mask, bool | np.bool_) else to_array(mask, rows)
    if isinstance(column, pa.Array) and pa.types.is_boolean(column.type):
        column = column.fill_null(False).to_numpy(zero_copy_only=False)
    elif isinstance(column, np.ma.MaskedArray):
        column = column.filled(False)
    values = np.asarray(column)
    if values.dtype == object and {bool, np.bool_, type(None)} >= set(map(type, values)):
        values = values.astype(bool)
    if values.dtype != bool:
        raise TypeError(f"the mask is made of {values.dtype}; give one bool for each run")
    if values.shape != (rows,):
        raise WrongLengthError(f"the mask has {values.size} values for {rows} runs")
    return values


def _as_exception(error: BaseException | type[BaseException] | str) -> BaseException:
    if isinstance(error, BaseException):
        return error
    if isinstance(error, type) and issubclass(error, BaseException):
        return error()
    if isinstance(error, str):
        return StepError(error)
    raise TypeError(f"the error is of type {type(error).__name__}; give an exception or a text")
