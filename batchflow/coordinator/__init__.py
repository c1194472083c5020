"""Decides which runs are executed when, and is the only part that has results written."""

from __future__ import annotations

from batchflow.coordinator.calls import UnfinishedCall
from batchflow.coordinator.config import CoordinatorConfig
from batchflow.coordinator.coordinator import Coordinator
from batchflow.coordinator.drain_options import DrainOptions
from batchflow.coordinator.forecast import Forecast
from batchflow.coordinator.progress import Progress, StepProgress
from batchflow.coordinator.stop import Stop
from batchflow.coordinator.tally import Ending, StepTally, Tally

__all__ = [
    "Coordinator",
    "CoordinatorConfig",
    "DrainOptions",
    "Ending",
    "Forecast",
    "Progress",
    "StepProgress",
    "StepTally",
    "Stop",
    "Tally",
    "UnfinishedCall",
]
