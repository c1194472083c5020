"""The runs that a drain has claimed, as other threads may read them."""

from __future__ import annotations

from collections.abc import Hashable

import pyarrow as pa


class ClaimedRuns:
    """The seqs of claimed runs, by workflow and claim.

    The coordinator's thread changes them, and any thread may read them: each change replaces or
    removes one entry of a dict, and a reader copies its values at once.
    """

    def __init__(self) -> None:
        self._seqs: dict[tuple[str, Hashable], pa.ChunkedArray] = {}

    def add(self, workflow: str, claim: Hashable, seqs: pa.ChunkedArray) -> None:
        """Record the runs of a claim."""
        self._seqs[workflow, claim] = seqs

    def remove(self, workflow: str, claim: Hashable) -> None:
        """Forget a claim after all of it was committed or returned."""
        self._seqs.pop((workflow, claim), None)

    def clear(self) -> None:
        """Forget all claims at the end of a drain."""
        self._seqs.clear()

    def of(self, workflow: str) -> pa.Table:
        """Return the ``seq`` of the claimed runs of a workflow."""
        found = [seqs for (name, _), seqs in self._seqs.copy().items() if name == workflow]
        chunks = [chunk for seqs in found for chunk in seqs.chunks]
        return pa.table({"seq": pa.chunked_array(chunks, pa.int64())})
