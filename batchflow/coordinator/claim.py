"""The runs taken by one claim, and what of them is still to be executed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from batchflow.chunk.search import Search
    from batchflow.coordinator.backlog import Span
    from batchflow.definition import AnyWorkflow, Step


@dataclass
class Claim:
    """A batch; it lives in memory alone, so a crash leaves nothing to undo.

    Attributes:
        pending: parts that no worker has yet.
        out: chunks that are executed, or whose results aren't committed.
    """

    workflow: AnyWorkflow
    step: Step
    span: Span
    rows: pa.Table
    pending: deque[pa.Table] = field(default_factory=deque)
    out: int = 0

    def __post_init__(self) -> None:
        """All of it is still to be executed."""
        self.pending.append(self.rows)
        self.bytes: int = self.rows.nbytes

    def keep_first(self, most_rows: int) -> pa.Table:
        """Shorten a claim of which nothing was taken yet; answer the rows it lets go of."""
        rest = self.rows.slice(most_rows)
        self.rows = self.rows.slice(0, most_rows)
        self.pending = deque([self.rows])
        return rest

    def take(self, most_rows: int) -> pa.Table:
        """Take the next part of at most this many runs."""
        part = self.pending.popleft()
        while self.pending and part.num_rows < most_rows:
            part = pa.concat_tables([part, self.pending.popleft()])
        if part.num_rows > most_rows:
            self.pending.appendleft(part.slice(most_rows))
            part = part.slice(0, most_rows)
        self.out += 1
        return part

    def give_back(self, part: pa.Table) -> None:
        """Put a part back that was not executed."""
        if part.num_rows:
            self.pending.appendleft(part)

    @property
    def finished(self) -> bool:
        """Whether nothing of it is left to execute or to commit."""
        return not self.pending and self.out == 0


@dataclass(frozen=True)
class ClaimedChunk:
    """A chunk that is out.

    Attributes:
        claim: which one it is of.
        rows: its runs, with what the commit needs.
        search: how those who end their worker are looked for; ``None`` where nobody is suspect,
            and the worker is a shared one.
    """

    claim: Claim
    rows: pa.Table
    search: Search | None = None

    @property
    def suspect(self) -> bool:
        """Whether it is executed in a worker of its own."""
        return self.search is not None
