"""The picture of a workflow: its statuses and steps, with or without counts of runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from batchflow.picture.status_picture import Box, StatusPicture

if TYPE_CHECKING:
    from batchflow.definition import AnyWorkflow

Counts: TypeAlias = Mapping[str, Mapping[str, tuple[int, int]]]
"""By status and run state: the number of runs, and the number of these that are failing."""


def picture_of(workflow: AnyWorkflow, counts: Counts | None = None) -> StatusPicture:
    """Return the picture of a workflow; it has no numbers if `counts` is None."""
    boxes = {}
    for code, name in enumerate(workflow.status_names):
        step = workflow.steps.get(code)
        there = None if counts is None else counts.get(name, {})
        boxes[code] = _box(name, None if step is None else step.name, there)
    return StatusPicture(workflow.name, workflow.graph, boxes)


def _box(name: str, step: str | None, there: Mapping[str, tuple[int, int]] | None) -> Box:
    if there is None:
        return Box(name, step)
    runs = {run_state: runs for run_state, (runs, _) in there.items()}
    return Box(name, step, runs, sum(failing for _, failing in there.values()))
