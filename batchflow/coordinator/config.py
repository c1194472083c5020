"""The coordinator's settings; the defaults suit a laptop and a million runs."""

from __future__ import annotations

from dataclasses import dataclass

_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class CoordinatorConfig:
    """How much is taken at once, and how long a stop may take.

    Attributes:
        batch_rows: most runs in one claim.
        sql_batch_rows: most runs in one transaction of a step that is executed in the store.
        bytes_in_flight: most bytes of runs that are claimed and not yet committed.
        grace_seconds: how long chunks in flight may take to finish after a stop was asked for.
        seed: seed of the jitter of backoffs; ``None`` draws one.
    """

    batch_rows: int = 262_144
    sql_batch_rows: int = 1_048_576
    bytes_in_flight: int = 256 * _MEBIBYTE
    grace_seconds: float = 10.0
    seed: int | None = None
