"""The engine's settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batchflow.access.listening import Listen
from batchflow.coordinator.config import CoordinatorConfig
from batchflow.errors import InvalidOptionError
from batchflow.executor.memory_share import worker_memory_bytes
from batchflow.operation.options import require_flag, require_seconds
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
        _require_amount(self.memory_limit)
        # That of a worker is an amount or "auto"; an executor without limits takes it as well.
        worker_memory_bytes(self.worker_memory_limit, workers=1)
        require_flag(self.log_values, "log_values")
        require_flag(self.serve, "serve")
        require_seconds(self.query_timeout_seconds, "query_timeout_seconds")
        _require_listen(self.listen)
        require_folders(self.allowed_urls)


def checked_config(config: object) -> EngineConfig:
    """Return an engine's configuration, which is the default if there is none.

    Raises:
        InvalidOptionError: It is something else.
    """
    if config is None:
        return EngineConfig()
    if not isinstance(config, EngineConfig):
        raise InvalidOptionError(
            f"config is of type {type(config).__name__}; give bf.EngineConfig(...) with the "
            "options by name.",
            option="config",
        )
    return config


def _require_amount(memory_limit: object) -> None:
    # DuckDB finds out whether a text is an amount, when the store is opened.
    if not isinstance(memory_limit, str):
        raise InvalidOptionError(
            f'memory_limit is {memory_limit!r}; give an amount like "512MB" or "4GB".',
            option="memory_limit",
        )


def _require_listen(listen: object) -> None:
    if listen is not None and not isinstance(listen, Listen):
        raise InvalidOptionError(
            f"listen is of type {type(listen).__name__}; give bf.Listen(...), or None.",
            option="listen",
        )
