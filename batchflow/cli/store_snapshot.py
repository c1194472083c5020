"""The status of a store at one moment, with or without an engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from batchflow.cli.opening import asked_store
from batchflow.errors import StoreHeldError

if TYPE_CHECKING:
    from batchflow.coordinator import Progress

Counts: TypeAlias = Mapping[str, Mapping[str, Mapping[str, int]]]
"""The number of runs by workflow, status and run state."""


@dataclass(frozen=True)
class StoreSnapshot:
    """The status of a store at one moment.

    Attributes:
        at: The moment, in UTC.
        counts: The number of runs by workflow, status and run state; statuses without runs have
            no run state.
        served: Whether an engine has the store open, and returned the counts.
        progress: The progress of its drain, or None.
        held: The reason if the store couldn't be opened, or an empty text.
    """

    at: datetime
    counts: Counts = field(default_factory=dict)
    served: bool = False
    progress: Progress | None = None
    held: str = ""


def take_snapshot(store: Path, workflow: str | None) -> StoreSnapshot:
    """Return the present status of a store.

    Raises:
        StoreError: The file is no store.
        WorkflowNotFoundError: The store has no such workflow.
    """
    from batchflow.chart.result_columns import all_members

    now = datetime.now(UTC)
    try:
        with asked_store(store) as reader:
            names = reader.workflows if workflow is None else (workflow,)
            counts: dict[str, dict[str, dict[str, int]]] = {}
            for name in names:
                rows = reader.counts(workflow=name).to_arrow_table()
                by_status = counts[name] = {each: {} for each in all_members(rows["status"])}
                for row in rows.to_pylist():
                    by_status[row["status"]][row["run_state"]] = row["runs"]
            return StoreSnapshot(now, counts, reader.served, reader.progress())
    except StoreHeldError as error:
        return StoreSnapshot(now, held=str(error))
