"""What is seen of a store at one moment, whoever has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from batchflow.errors import StoreHeldError

if TYPE_CHECKING:
    from batchflow.coordinator import Progress

Counts: TypeAlias = Mapping[str, Mapping[str, Mapping[str, int]]]
"""How many runs there are, by workflow, status and run state."""


@dataclass(frozen=True)
class StoreSnapshot:
    """What was seen.

    Attributes:
        at: when, in local time.
        counts: where the runs are.
        served: whether an engine has the store open, and answered.
        progress: how far its drain is, if one is under way.
        held: why the store couldn't be opened, if it couldn't.
    """

    at: datetime
    counts: Counts = field(default_factory=dict)
    served: bool = False
    progress: Progress | None = None
    held: str = ""


def take_snapshot(store: Path, workflow: str | None) -> StoreSnapshot:
    """Look at a store, and let go of it again, so that an engine can have it.

    Raises:
        StoreError: it is none, or has no such workflow.
    """
    from batchflow.access import connect

    now = datetime.now(UTC).astimezone()
    try:
        with connect(store) as reader:
            names = reader.workflows if workflow is None else (workflow,)
            counts: dict[str, dict[str, dict[str, int]]] = {}
            for name in names:
                by_status = counts.setdefault(name, {})
                for status, run_state, runs in reader.counts(workflow=name).fetchall():
                    by_status.setdefault(status, {})[run_state] = runs
            return StoreSnapshot(now, counts, reader.served, reader.progress())
    except StoreHeldError as error:
        return StoreSnapshot(now, held=str(error))
