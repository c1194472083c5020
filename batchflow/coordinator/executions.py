"""The executions of a visit as columns: a row for each time that a step was executed for a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from batchflow.definition.outcome import KEEPS_CHANGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from batchflow.chunk import ChunkResult


@dataclass(frozen=True, slots=True, eq=False)
class Executions:
    """Executions in their order; all columns have the same length.

    Attributes:
        rows: The place of the run in the chunk, of the type with which NumPy indexes fastest.
        from_codes: The code of the status whose step was executed.
        outcomes: The code of the `Outcome`.
        to_codes: The code of the status that it led to; -1 if the run didn't move.
        moved_before: How many transitions of the run the visit had made before.
    """

    rows: NDArray[np.intp]
    from_codes: NDArray[np.uint8]
    outcomes: NDArray[np.int8]
    to_codes: NDArray[np.int16]
    moved_before: NDArray[np.int32]

    @classmethod
    def by_leg(cls, result: ChunkResult, from_code: int) -> list[Executions]:
        """Return those of a chunk whose runs were at a status, then those of each further leg."""
        moved = np.zeros(result.num_rows, np.int32)
        own = np.arange(result.num_rows), from_code, result.outcomes, result.to_codes
        later = (
            (leg.rows.astype(np.intp), leg.from_code, leg.outcomes, leg.to_codes)
            for leg in result.later
        )
        legs = []
        for rows, code, outcomes, to_codes in (own, *later):
            before = moved[rows]
            moved[rows] = before + KEEPS_CHANGES[outcomes]
            codes = np.full(len(rows), code, np.uint8)
            legs.append(cls(rows, codes, outcomes, to_codes, before))
        return legs

    @classmethod
    def joined(cls, parts: Sequence[Executions]) -> Executions:
        """Return the executions of some legs."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.rows for part in parts]),
            np.concatenate([part.from_codes for part in parts]),
            np.concatenate([part.outcomes for part in parts]),
            np.concatenate([part.to_codes for part in parts]),
            np.concatenate([part.moved_before for part in parts]),
        )

    def where(self, mask: NDArray[np.bool_]) -> Executions:
        """Return the executions where `mask` is true."""
        if mask.all():
            return self
        if not mask.any():
            return self.none
        return Executions(
            self.rows[mask],
            self.from_codes[mask],
            self.outcomes[mask],
            self.to_codes[mask],
            self.moved_before[mask],
        )

    @property
    def none(self) -> Executions:
        """None of the executions."""
        return Executions(
            self.rows[:0],
            self.from_codes[:0],
            self.outcomes[:0],
            self.to_codes[:0],
            self.moved_before[:0],
        )
