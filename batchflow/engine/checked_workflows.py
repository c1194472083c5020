"""The workflows that an engine is given, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchflow.definition import Workflow
from batchflow.definition.description import RestoredWorkflow
from batchflow.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchflow.definition import AnyWorkflow


def checked_workflows(workflows: Sequence[AnyWorkflow]) -> Mapping[str, AnyWorkflow]:
    """Return workflows by name.

    Raises:
        DefinitionError: There is none, one is something else, or two have the same name.
    """
    if not workflows:
        raise DefinitionError("An engine needs at least one workflow: Engine(path, orders).")
    for workflow in workflows:
        if not isinstance(workflow, Workflow):
            raise DefinitionError(
                f"A workflow of the engine is of type {type(workflow).__name__}; give the path "
                "first, then each workflow: Engine(path, orders, refunds)."
            )
        if isinstance(workflow, RestoredWorkflow):
            raise DefinitionError(
                f"The workflow {workflow.name!r} was restored from a store and has no step code; "
                "give the engine the workflow that your code defines."
            )
    by_name = {workflow.name: workflow for workflow in workflows}
    if len({name.casefold() for name in by_name}) < len(workflows):
        names = ", ".join(workflow.name for workflow in workflows)
        raise DefinitionError(
            "Two workflows of the engine have the same name, but for upper and lower case: "
            f"{names}; give each a name of its own."
        )
    return by_name
