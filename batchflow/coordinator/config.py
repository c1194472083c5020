"""The coordinator's settings; the defaults suit a laptop and a million runs."""

from __future__ import annotations

from dataclasses import dataclass

from batchflow.executor.memory_share import machine_bytes
from batchflow.operation.options import require_count, require_seconds

_BYTES_PER_WORKER = 24 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class CoordinatorConfig:
    """Limits on the work in progress, and the time for a stop.

    Attributes:
        batch_rows: The most runs in one claim.
        sql_batch_rows: The most runs in one transaction of a step in the store.
        bytes_in_flight: The most bytes of runs that are claimed and not yet committed; None means
            24 MiB for each worker, at least 48 MiB, and at most a quarter of the memory here.
        grace_seconds: How long the chunks in flight may take to finish after a stop is requested.
        seed: The seed of the jitter of backoffs; None draws one.
    """

    batch_rows: int = 262_144
    sql_batch_rows: int = 1_048_576
    bytes_in_flight: int | None = None
    grace_seconds: float = 10.0
    seed: int | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        require_count(self.batch_rows, "batch_rows", least=1)
        require_count(self.sql_batch_rows, "sql_batch_rows", least=1)
        if self.bytes_in_flight is not None:
            require_count(self.bytes_in_flight, "bytes_in_flight", least=1)
        require_seconds(self.grace_seconds, "grace_seconds")
        if self.seed is not None:
            require_count(self.seed, "seed", least=0)

    def bytes_for(self, workers: int) -> int:
        """Return how many bytes may be in flight with this many workers."""
        most = max(machine_bytes() // 4, 2 * _BYTES_PER_WORKER)
        return self.bytes_in_flight or min(max(workers, 2) * _BYTES_PER_WORKER, most)
