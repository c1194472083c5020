"""What an engine is asked to do by way of its socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import pyarrow as pa

COMMANDS: Final = frozenset({"pause", "resume", "cancel", "progress", "stop"})

FOREIGN_ID: Final = "#foreign_id"
"""The column of the foreign id of a run that is triggered by itself."""


class Commands(Protocol):
    """Who passes commands on; each raises what the engine raised."""

    def command(self, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Have one of `COMMANDS` carried out; what it answered, by name."""

    def load_file(self, source: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Have a path, glob or SQL text loaded, as the engine's process reads it."""

    def load_rows(self, rows: pa.RecordBatchReader, options: Mapping[str, Any]) -> dict[str, Any]:
        """Have these rows loaded."""
