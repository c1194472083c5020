"""What a step receives: one run with its object, or the columns of a batch of runs."""

from __future__ import annotations

from batchflow.view.batch import Batch
from batchflow.view.run import Run

__all__ = ["Batch", "Run"]
