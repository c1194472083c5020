"""The definition of a workflow: its object's fields, its statuses and its steps.

Nothing here executes a workflow or stores its runs.
"""

from __future__ import annotations

from batchflow.definition.fields import (
    UTC,
    Field,
    FieldType,
    Kind,
    Precision,
    fields_of,
)
from batchflow.definition.graph import StatusGraph
from batchflow.definition.outcome import Outcome
from batchflow.definition.retry import Retry
from batchflow.definition.run_state import ALLOWED, RunState, sources_of
from batchflow.definition.step import Step, StepKind, StepOptions
from batchflow.definition.workflow import AnyWorkflow, Workflow

__all__ = [
    "ALLOWED",
    "UTC",
    "AnyWorkflow",
    "Field",
    "FieldType",
    "Kind",
    "Outcome",
    "Precision",
    "Retry",
    "RunState",
    "StatusGraph",
    "Step",
    "StepKind",
    "StepOptions",
    "Workflow",
    "fields_of",
    "sources_of",
]
