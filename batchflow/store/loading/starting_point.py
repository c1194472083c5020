"""The status where runs begin."""

from __future__ import annotations

import enum

from batchflow.definition.redefined import known_status
from batchflow.errors import LoadError
from batchflow.store.schema.layout import AnyWorkflow


def starting_code(workflow: AnyWorkflow, at: enum.Enum | str | None) -> int:
    """Return the code of the status where runs begin.

    Raises:
        LoadError: `at` is None and the workflow has several starting points, or the status has no
            step.
        DefinitionError: The workflow has no such status.
    """
    if at is not None:
        return _with_step(workflow, workflow.code_of(known_status(at, workflow.status_type)))
    codes = sorted(workflow.starting_codes)
    if len(codes) != 1:
        names = ", ".join(workflow.status_names[code] for code in codes)
        raise LoadError(
            f"Workflow {workflow.name!r} has {len(codes)} starting points ({names}); choose one "
            "with at=."
        )
    return codes[0]


def _with_step(workflow: AnyWorkflow, code: int) -> int:
    if code not in workflow.steps:
        names = ", ".join(workflow.status_names[known] for known in workflow.steps)
        raise LoadError(
            f"Workflow {workflow.name!r} has no step at {workflow.status_names[code]}, so no run "
            f"can begin there; give one of {names}."
        )
    return code
