"""Which of an engine's workflows a call means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchflow.definition import Workflow
from batchflow.errors import DefinitionError, EngineStateError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchflow.definition import AnyWorkflow


class Selection:
    """The workflows of one engine, by name."""

    def __init__(self, workflows: Sequence[AnyWorkflow]) -> None:
        if not workflows:
            raise DefinitionError("an engine needs at least one workflow: Engine(path, orders)")
        for workflow in workflows:
            if not isinstance(workflow, Workflow):
                raise DefinitionError(
                    f"an engine was given a {type(workflow).__name__} as a workflow; give the path "
                    "first, then each workflow: Engine(path, orders, refunds)"
                )
        self.by_name: Mapping[str, AnyWorkflow] = {
            workflow.name: workflow for workflow in workflows
        }
        if len({name.casefold() for name in self.by_name}) < len(workflows):
            names = ", ".join(workflow.name for workflow in workflows)
            raise DefinitionError(
                f"two workflows of one engine have the same name, but for upper and lower case: "
                f"{names}; give each a name of its own"
            )

    @property
    def all(self) -> list[AnyWorkflow]:
        """All of them, in the order given."""
        return list(self.by_name.values())

    def only(self, workflow: AnyWorkflow | str | None) -> AnyWorkflow:
        """Answer the workflow that is named, or the only one there is."""
        if workflow is None:
            if len(self.by_name) == 1:
                return next(iter(self.by_name.values()))
            raise EngineStateError(f"say which workflow is meant: workflow= one of {self._names}")
        name = workflow.name if isinstance(workflow, Workflow) else workflow
        if name not in self.by_name:
            raise EngineStateError(f"this engine has no workflow {name!r}; it has {self._names}")
        return self.by_name[name]

    def of_object(self, instance: object, workflow: AnyWorkflow | str | None) -> AnyWorkflow:
        """Answer the workflow that is named, or the only one that takes such objects."""
        if workflow is not None or len(self.by_name) == 1:
            return self.only(workflow)
        fitting = [each for each in self.all if isinstance(instance, each.object_type)]
        if len(fitting) == 1:
            return fitting[0]
        return self.only(None)

    @property
    def _names(self) -> str:
        return ", ".join(repr(name) for name in self.by_name)
