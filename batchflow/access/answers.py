"""What an engine answered to a command, made again of what was sent."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from batchflow.store.loading.load_report import InvalidColumn, LoadReport

if TYPE_CHECKING:
    from batchflow.coordinator import Progress


def load_report_of(told: Mapping[str, Any]) -> LoadReport:
    """Return what a load did."""
    invalid = tuple(
        InvalidColumn(**{**each, "sample": tuple(each["sample"])}) for each in told["invalid"]
    )
    named = {field.name: told[field.name] for field in dataclasses.fields(LoadReport)}
    return LoadReport(
        **{**named, "conflict_sample": tuple(told["conflict_sample"]), "invalid": invalid}
    )


def progress_of(told: Mapping[str, Any]) -> Progress:
    """Return how far a drain is."""
    # Imported where it is needed: who asks for runs needs nothing of how they are moved.
    from batchflow.coordinator import Progress, StepProgress

    at = datetime.fromisoformat(told["at"])
    steps = tuple(
        StepProgress(**{**step, "to_statuses": tuple(step["to_statuses"]), "at": at})
        for step in told["steps"]
    )
    return Progress(**{**told, "at": at, "steps": steps})
