"""The runs of one claim, and the parts of it that are still to be executed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from batchflow.chunk.search import Search
    from batchflow.coordinator.backlog import Span
    from batchflow.definition import AnyWorkflow, Step


@dataclass
class Claim:
    """A batch; it exists only in memory, so a crash leaves nothing to undo.

    Attributes:
        pending: The parts that weren't submitted yet.
        out: The number of chunks that are under way, or whose results aren't committed.
    """

    workflow: AnyWorkflow
    step: Step
    span: Span
    rows: pa.Table
    pending: deque[pa.Table] = field(default_factory=deque)
    out: int = 0

    def __post_init__(self) -> None:
        """Make all runs pending."""
        self.pending.append(self.rows)
        self.bytes: int = self.rows.nbytes

    def keep_first(self, most_rows: int) -> pa.Table:
        """Shorten a claim of which nothing was taken yet; return the other rows."""
        rest = self.rows.slice(most_rows)
        self.rows = self.rows.slice(0, most_rows)
        self.pending = deque([self.rows])
        return rest

    def take(self, most_rows: int) -> pa.Table:
        """Take the next part, of at most this many runs."""
        part = self.pending.popleft()
        while self.pending and part.num_rows < most_rows:
            part = pa.concat_tables([part, self.pending.popleft()])
        if part.num_rows > most_rows:
            self.pending.appendleft(part.slice(most_rows))
            part = part.slice(0, most_rows)
        self.out += 1
        return part

    @property
    def pending_rows(self) -> int:
        """The number of runs that weren't submitted yet."""
        return sum(part.num_rows for part in self.pending)

    def give_back(self, part: pa.Table) -> None:
        """Put a part back that wasn't executed."""
        if part.num_rows:
            self.pending.appendleft(part)

    @cached_property
    def seqs(self) -> NDArray[np.int64]:
        """The seqs of its runs, sorted; to be read once its runs are known."""
        return np.sort(self.rows["#seq"].to_numpy())

    @property
    def finished(self) -> bool:
        """Whether all of it was executed and committed."""
        return not self.pending and self.out == 0


@dataclass(frozen=True)
class ClaimedChunk:
    """A chunk that was taken from a claim.

    Attributes:
        claim: The claim.
        rows: The runs, with the columns that the commit needs.
        search: How to find the runs that end their worker; None if no run is suspect, so that
            the chunk may share a worker.
        submitted: When it was given to the executor, on the monotonic clock.
    """

    claim: Claim
    rows: pa.Table
    search: Search | None = None
    submitted: float = 0.0

    @property
    def suspect(self) -> bool:
        """Whether it needs an isolated worker."""
        return self.search is not None
