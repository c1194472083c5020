"""The number of machines, which may follow the work that is left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from batchflow.coordinator.tally import Tally
    from batchflow.definition import AnyWorkflow
    from batchflow.executor.protocol import ScalingExecutor

_LOOK_SECONDS: Final = 1.0


class Scaling:
    """Reports the work that is left to an executor on several machines."""

    def __init__(self, executor: ScalingExecutor, workflows: Sequence[AnyWorkflow]) -> None:
        self._executor = executor
        self._workflows = workflows
        self._looked_at = 0.0

    def follow(self, tally: Tally) -> bool:
        """Record the number of machines; return whether it has changed."""
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            self._executor.note_work(self._worker_seconds(tally))
        before, tally.nodes = tally.nodes, self._executor.nodes
        return before != tally.nodes

    def _worker_seconds(self, tally: Tally) -> float:
        """Return the time that a single worker needs for the runs, as far as that is known.

        Runs count for each step that they may get to, and steps that were executed before.
        """
        seconds = 0.0
        for workflow in self._workflows:
            left = tally.status_counts[workflow.name].shown @ workflow.graph.leads_to
            for code, step in workflow.steps.items():
                done = tally.steps[workflow.name, code]
                if done.runs and not step.kind.in_store:
                    seconds += float(left[code]) * done.seconds / done.runs
        return seconds
