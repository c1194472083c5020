"""The engine's settings."""

from __future__ import annotations

from dataclasses import dataclass

from batchflow.access.listening import Listen
from batchflow.coordinator.config import CoordinatorConfig
from batchflow.store.database.instance import DEFAULT_MEMORY_LIMIT


@dataclass(frozen=True, kw_only=True)
class EngineConfig(CoordinatorConfig):
    """The coordinator's settings and the store's.

    Attributes:
        memory_limit: the most memory that DuckDB may take, like ``"4GB"``; workers not included.
            What doesn't fit is spilled beside the store.
        worker_memory_limit: the most memory that a step may take in a worker beyond what the
            worker has to begin with, like ``"2GB"``; a run that wants more fails. ``"auto"``: an
            equal share of four fifths of the machine's, or its container's. ``None``: no limit.
            Kept to on Linux alone.
        log_values: whether messages of errors show the values that they are about, cut short.
            By default they don't, as objects hold personal data; nor does the log then say what
            a step's exception says.
        serve: whether other processes of the same user may ask the engine, by way of a socket
            beside the store's file, while it has the store open.
        query_timeout_seconds: how long a query of theirs may take, until its last row was sent.
        listen: where else to listen, with TLS and a token; nowhere by default.
    """

    memory_limit: str = DEFAULT_MEMORY_LIMIT
    worker_memory_limit: str | None = "auto"
    log_values: bool = False
    serve: bool = True
    query_timeout_seconds: float = 600.0
    listen: Listen | None = None
