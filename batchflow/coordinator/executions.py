"""The executions of a visit as columns: a row for each time that a step was executed for a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from batchflow.definition.outcome import KEEPS_CHANGES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from batchflow.chunk import ChunkResult


@dataclass(frozen=True, slots=True, eq=False)
class Executions:
    """Executions in their order; all columns have the same length.

    Attributes:
        rows: The place of the run in the chunk.
        from_codes: The code of the status whose step was executed.
        outcomes: The code of the `Outcome`.
        to_codes: The code of the status that it led to; -1 if the run didn't move.
        moved_before: How many transitions of the run the visit had made before.
        later: Whether it is of a further step, and not of the chunk's own.
    """

    rows: NDArray[np.int32]
    from_codes: NDArray[np.uint8]
    outcomes: NDArray[np.int8]
    to_codes: NDArray[np.int16]
    moved_before: NDArray[np.int32]
    later: NDArray[np.bool_]

    @classmethod
    def of(cls, result: ChunkResult, from_code: int) -> Executions:
        """Return the executions of a chunk whose runs were at a status."""
        rows = [np.arange(result.num_rows, dtype=np.int32), *(leg.rows for leg in result.later)]
        codes = [from_code, *(leg.from_code for leg in result.later)]
        outcomes = [result.outcomes, *(leg.outcomes for leg in result.later)]
        to_codes = [result.to_codes, *(leg.to_codes for leg in result.later)]
        sizes = [len(part) for part in rows]
        moved, before = np.zeros(result.num_rows, np.int32), []
        for places, reached in zip(rows, outcomes, strict=True):
            before.append(moved[places])
            moved[places] += KEEPS_CHANGES[reached]
        return cls(
            rows=np.concatenate(rows),
            from_codes=np.repeat(np.array(codes, np.uint8), sizes),
            outcomes=np.concatenate(outcomes),
            to_codes=np.concatenate(to_codes),
            moved_before=np.concatenate(before),
            later=np.arange(sum(sizes)) >= result.num_rows,
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
            self.later[mask],
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
            self.later[:0],
        )
