"""Run ids as callers give them."""

from __future__ import annotations

from uuid import UUID

from batchflow.errors import QueryError, RunNotFoundError
from batchflow.store.schema.layout import SEQ_BITS
from batchflow.store.schema.tables import Tables


def run_id_of(given: UUID | str) -> UUID:
    """Answer a run id that may have been given as text, as JSON and shells have it.

    Raises:
        RunNotFoundError: it is no run id.
    """
    if isinstance(given, UUID):
        return given
    try:
        return UUID(given)
    except (ValueError, TypeError, AttributeError):
        raise RunNotFoundError(
            f"{given!r} is no run id; give the UUID that trigger() answered"
        ) from None


def run_not_found(run_id: UUID) -> RunNotFoundError:
    """Build the error that there is no such run."""
    return RunNotFoundError(
        f"There is no run {run_id} in this store; check the run id and the store's path."
    )


def is_of(tables: Tables, run_id: UUID) -> bool:
    """Tell whether the id is one that this workflow's runs could have."""
    require_run_id(run_id)
    return run_id.int >> SEQ_BITS == tables.run_id_base >> SEQ_BITS


def require_run_id(run_id: object) -> None:
    """Raise QueryError unless it is an id."""
    if not isinstance(run_id, UUID):
        raise QueryError(f"The run id is {run_id!r}; give a uuid.UUID, as trigger answers.")


def seq_of(tables: Tables, run_id: UUID) -> int:
    """Return the seq of a run with this id, whether there is one or not."""
    if not is_of(tables, run_id):
        raise run_not_found(run_id)
    return run_id.int - tables.run_id_base
