"""Run ids: reading, checking and resolving them."""

from __future__ import annotations

from uuid import UUID

from batchflow.errors import QueryError, RunNotFoundError
from batchflow.store.schema.layout import SEQ_BITS
from batchflow.store.schema.tables import Tables


def run_id_of(given: UUID | str) -> UUID:
    """Return a run id that may be given as text, as in JSON and shells.

    Raises:
        RunNotFoundError: It is not a run id.
    """
    if isinstance(given, UUID):
        return given
    try:
        return UUID(given)
    except (ValueError, TypeError, AttributeError):
        raise RunNotFoundError(
            f"{given!r} is not a run id; give the UUID that trigger() returned."
        ) from None


def run_not_found(run_id: UUID) -> RunNotFoundError:
    """Return the error for a run that does not exist."""
    return RunNotFoundError(
        f"There is no run {run_id} in this store; check the run id and the store's path."
    )


def is_of(tables: Tables, run_id: UUID) -> bool:
    """Return whether a run of this workflow could have the id.

    Raises:
        QueryError: It is not a UUID.
    """
    require_run_id(run_id)
    return run_id.int >> SEQ_BITS == tables.run_id_base >> SEQ_BITS


def require_run_id(run_id: object) -> None:
    """Raise QueryError unless it is a UUID."""
    if not isinstance(run_id, UUID):
        raise QueryError(f"The run id is {run_id!r}; give a uuid.UUID, as trigger() returns it.")


def seq_of(tables: Tables, run_id: UUID) -> int:
    """Return the seq of the run with this id, whether or not the run exists.

    Raises:
        RunNotFoundError: No run of this workflow could have the id.
    """
    if not is_of(tables, run_id):
        raise run_not_found(run_id)
    return run_id.int - tables.run_id_base
