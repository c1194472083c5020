"""Run ids: which workflow they belong to, and the error for a run that does not exist."""

from __future__ import annotations

from uuid import UUID

from batchflow.errors import RunNotFoundError
from batchflow.store.schema.layout import SEQ_BITS
from batchflow.store.schema.tables import Tables


def run_not_found(run_id: UUID) -> RunNotFoundError:
    """Return the error for a run that does not exist."""
    return RunNotFoundError(
        f"There is no run {run_id} in this store; check the run id and the store's path."
    )


def is_of(tables: Tables, run_id: UUID) -> bool:
    """Return whether a run of this workflow could have the id."""
    return run_id.int >> SEQ_BITS == tables.run_id_base >> SEQ_BITS
