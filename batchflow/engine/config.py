"""The engine's settings."""

from __future__ import annotations

from dataclasses import dataclass

from batchflow.coordinator.config import CoordinatorConfig


@dataclass(frozen=True, kw_only=True)
class EngineConfig(CoordinatorConfig):
    """The coordinator's settings and the store's.

    Attributes:
        memory_limit: the most memory that DuckDB may take, like ``"4GB"``; workers not included.
            What doesn't fit is spilled beside the store.
    """

    memory_limit: str = "512MB"
