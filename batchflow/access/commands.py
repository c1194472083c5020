"""What an engine is asked to do by way of its socket."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import pyarrow as pa

from batchflow.errors import EngineStateError

COMMANDS: Final = frozenset({"pause", "resume", "cancel", "progress", "prune", "stop"})


class Commands(Protocol):
    """Who passes commands on; each raises what the engine raised."""

    def command(self, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Have one of `COMMANDS` carried out; what it answered, by name."""

    def load_file(self, source: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Have a path, glob or SQL text loaded, as the engine's process reads it."""

    def load_rows(self, rows: pa.RecordBatchReader, options: Mapping[str, Any]) -> dict[str, Any]:
        """Have these rows loaded."""


def sent_moment(moment: timedelta | datetime) -> dict[str, Any]:
    """Return a moment, or how long ago it was, as it is sent.

    Raises:
        EngineStateError: it is neither.
    """
    match moment:
        case timedelta():
            return {"ago": (moment.days, moment.seconds, moment.microseconds)}
        case datetime():
            # A naive one is meant in this process's local time, which may not be the engine's.
            return {"moment": moment.astimezone().isoformat()}
        case _:
            raise EngineStateError(
                f"finished_before is {moment!r}; give a datetime, or a timedelta for how long ago."
            )


def received_moment(sent: Mapping[str, Any]) -> timedelta | datetime:
    """Return what `sent_moment` was given."""
    if "moment" in sent:
        return datetime.fromisoformat(sent["moment"])
    return timedelta(*sent["ago"])
