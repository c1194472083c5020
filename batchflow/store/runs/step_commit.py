"""The results of a step as they are committed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchflow.definition.cause import Cause
from batchflow.definition.run_state import RunState
from batchflow.definition.step import Step
from batchflow.store.schema.layout import AnyWorkflow

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class StepCommit:
    """The results of a visit for some runs, each of which is in one of the first two tables.

    Attributes:
        workflow: The workflow of the runs.
        step: The step of the status at which the runs are stored.
        moved: The runs that advanced or repeated: ``#seq``, ``#version``, ``#attempt`` and
            ``#run_state`` as claimed, ``#to`` and ``#outcome`` of their last transition, then the
            changed fields by name. If a field was written for some runs only, ``#set:<field>`` is
            true for these.
        unmoved: The runs that failed, or were paused or cancelled: ``#seq``, ``#version`` and
            ``#attempt`` as claimed, then the new ``#next_attempt``, ``#outcome``, ``#run_state``,
            ``#next_attempt_at`` and ``#reason``.
        errors: A row for each failure: ``#seq``, ``#attempt``, ``type``, ``message``,
            ``traceback``, ``fingerprint``, ``cause``, and where it was executed: ``worker``,
            ``chunk`` and the ``seconds`` that the step took for the chunk.
        transitions: If the visit had further steps, a row for each transition of the moved runs,
            in order: ``#seq``, ``#version`` and ``#attempt`` before it, ``#from``, ``#to``,
            ``#outcome``. ``moved`` then has ``#moves``, their number, and ``#from``, the status
            before the last one. None if each of the runs made one transition.
        causes: The causes of the errors, each once.
    """

    workflow: AnyWorkflow
    step: Step
    moved: pa.Table
    unmoved: pa.Table
    errors: pa.Table
    transitions: pa.Table | None = None
    causes: tuple[Cause, ...] = ()

    @property
    def moves(self) -> pa.Table:
        """The transitions of the moved runs, with the columns of ``transitions``."""
        if self.transitions is not None:
            return self.transitions
        moved = self.moved.select(["#seq", "#version", "#attempt", "#to", "#outcome"])
        codes = np.full(moved.num_rows, self.step.from_code, np.uint8)
        return moved.append_column("#from", pa.array(codes))

    def of_runs(self, seqs: pa.Array) -> StepCommit:
        """Return the part of it that is about these runs."""

        def part(table: pa.Table) -> pa.Table:
            return table.filter(pc.is_in(table["#seq"], value_set=seqs))

        return replace(
            self,
            moved=part(self.moved),
            unmoved=part(self.unmoved),
            errors=part(self.errors),
            transitions=None if self.transitions is None else part(self.transitions),
        )

    @property
    def num_rows(self) -> int:
        """Return the number of runs."""
        return int(self.moved.num_rows + self.unmoved.num_rows)

    @property
    def paused(self) -> int:
        """Return the number of runs that the commit pauses."""
        return int((self.unmoved["#run_state"].to_numpy() == RunState.PAUSED).sum())

    @property
    def retried_attempts(self) -> NDArray[np.int32]:
        """The same of the runs that failed, and are tried again."""
        is_retried = self.unmoved["#next_attempt_at"].is_valid()
        return np.asarray(self.unmoved["#attempt"].filter(is_retried).to_numpy(), np.int32)

    @property
    def last_attempt_at(self) -> datetime | None:
        """The time at which the last of the failed runs is due again."""
        moment: datetime | None = pc.max(self.unmoved["#next_attempt_at"]).as_py()
        return moment

    @property
    def next_attempt_at(self) -> datetime | None:
        """Return the time at which the first of the failed runs is due again."""
        moment: datetime | None = pc.min(self.unmoved["#next_attempt_at"]).as_py()
        return moment


@dataclass(frozen=True, eq=False)
class CommitResult:
    """The part of a `StepCommit` that was stored.

    Attributes:
        applied: The number of runs that were changed.
        refused_seqs: The runs that had changed since they were claimed, int64; they are left as
            they are.
        instead: The commit that was stored instead, in which the runs that would break an invariant
            fail and are paused. None if there are none.
    """

    applied: int
    refused_seqs: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    instead: StepCommit | None = None
