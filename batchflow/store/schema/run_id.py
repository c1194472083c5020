"""Run ids as callers give them."""

from __future__ import annotations

from uuid import UUID

from batchflow.errors import RunNotFoundError


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
