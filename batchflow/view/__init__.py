"""The arguments that a step receives: a `Run` with its object, or the columns of a `Batch`.

Both are views of a chunk, whose engine columns `ChunkContext` reads. For row steps, `RowColumns`
reads the fields on demand and collects the changes, and `view_type` creates the class of objects.
"""

from __future__ import annotations

from batchflow.view.answer import Answer
from batchflow.view.batch import Batch
from batchflow.view.run import Run
from batchflow.view.status_codes import StatusCodes

__all__ = ["Answer", "Batch", "Run", "StatusCodes"]
