"""The runs that a drain has claimed, as other threads may read them."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

import pyarrow as pa

_NONE: Final = pa.table({"seq": pa.array([], pa.int64()), "version": pa.array([], pa.int32())})


class ClaimedRuns:
    """The seqs and versions of claimed runs, by workflow and claim.

    The coordinator's thread changes them, and any thread may read them: each change replaces or
    removes one entry of a dict, and a reader copies its values at once.
    """

    def __init__(self) -> None:
        self._runs: dict[tuple[str, Hashable], pa.Table] = {}

    def add(self, workflow: str, claim: Hashable, rows: pa.Table) -> None:
        """Record the runs of a claim: ``#seq`` and ``#version``, among other columns."""
        self._runs[workflow, claim] = rows.select(["#seq", "#version"])

    def remove(self, workflow: str, claim: Hashable) -> None:
        """Forget a claim after all of it was committed or returned."""
        self._runs.pop((workflow, claim), None)

    def clear(self) -> None:
        """Forget all claims at the end of a drain."""
        self._runs.clear()

    def of(self, workflow: str) -> pa.Table:
        """Return the ``seq`` of the claimed runs of a workflow, and their ``version`` then."""
        found = [rows for (name, _), rows in self._runs.copy().items() if name == workflow]
        return pa.concat_tables(
            [_NONE, *(rows.rename_columns(_NONE.column_names) for rows in found)]
        )
