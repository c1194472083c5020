"""Workflows to draw."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

from batchflow.definition import Workflow
from kit.things import Thing


def workflow_of(names: Sequence[str], edges: Mapping[str, Sequence[str]]) -> Workflow[Any, Any]:
    """Return a workflow with these statuses and edges."""
    statuses: Any = enum.Enum("Statuses", list(names))  # type: ignore[misc]
    workflow = Workflow("things", Thing, statuses)
    for name, targets in edges.items():
        workflow.add_step(statuses[name], _stay, *(statuses[target] for target in targets))
    return workflow


def _stay(run: Any) -> None:
    return None
