"""The engine's settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batchflow.access.listening import Listen
from batchflow.coordinator.config import CoordinatorConfig
from batchflow.errors import DefinitionError
from batchflow.store.database.instance import DEFAULT_MEMORY_LIMIT
from batchflow.store.urls.url import require_folders


@dataclass(frozen=True, kw_only=True)
class EngineConfig(CoordinatorConfig):
    """The coordinator's settings and the store's.

    Attributes:
        memory_limit: The memory that DuckDB may use, like ``"4GB"``, without the workers. Data
            that doesn't fit is spilled to a folder beside the store.
        worker_memory_limit: The memory that a step may use in a worker beyond what the worker
            starts with, like ``"2GB"``; a run that needs more fails. ``"auto"`` is an equal share
            of four fifths of the machine's or container's memory. ``None`` is no limit. It is
            enforced on Linux only.
        log_values: Whether error messages show the values that they are about, truncated, and
            whether the log shows the messages of steps' exceptions. They don't by default, as
            objects hold personal data.
        serve: Whether other processes of the same user can query and control the engine while it
            has the store open, through a socket beside the store's file.
        query_timeout_seconds: The longest time for a query of another process, until its last
            row is sent.
        listen: Where else to listen, with TLS and a token; nowhere by default.
        allowed_urls: The folders, like ``"s3://bucket/folder/"``, from which other processes may
            have this engine load, with the rights of its process; none by default.
    """

    memory_limit: str = DEFAULT_MEMORY_LIMIT
    worker_memory_limit: str | None = "auto"
    log_values: bool = False
    serve: bool = True
    query_timeout_seconds: float = 600.0
    listen: Listen | None = None
    allowed_urls: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check the values."""
        super().__post_init__()
        require_folders(self.allowed_urls)


def checked_config(config: object) -> EngineConfig:
    """Return an engine's configuration, which is the default if there is none.

    Raises:
        DefinitionError: It is something else.
    """
    if config is None:
        return EngineConfig()
    if not isinstance(config, EngineConfig):
        raise DefinitionError(
            f"The config of the engine is of type {type(config).__name__}. Give "
            "bf.EngineConfig(...) with the options by name."
        )
    return config
