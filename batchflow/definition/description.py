"""A workflow's description: all of it but its code, as JSON.

A store keeps the description of each workflow, so that you can query, load and control its runs
without the workflow's code. A restored workflow has the name, fields, statuses and steps of the
original; only its steps can't be executed.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Final, NoReturn, assert_never

from batchflow.definition.annotation import field_type_of
from batchflow.definition.step import Step, StepKind
from batchflow.definition.type_description import (
    TypeRestorer,
    describe_enum,
    describe_type,
    make_class,
)
from batchflow.definition.value_description import describe_default, restore_default
from batchflow.definition.workflow import AnyWorkflow, Workflow
from batchflow.errors import StepCodeError

_NO_CODE: Final = (
    "The workflow was restored from a store, without the code of its steps: give an engine the "
    "workflow itself to execute them."
)


class RestoredWorkflow(Workflow[Any, Any]):
    """A workflow that was restored from its description; its steps have no code."""


@dataclass(frozen=True)
class MissingCode:
    """The function of a restored step."""

    __name__: str

    def __call__(self, _: Any) -> NoReturn:
        """Refuse to execute the step."""
        raise StepCodeError(_NO_CODE)


def describe(workflow: AnyWorkflow) -> dict[str, Any]:
    """Return the description of a workflow, which `json.dumps` accepts."""
    return {
        "name": workflow.name,
        "object": {
            "name": workflow.object_type.__name__,
            "fields": [
                {"name": field.name, "type": describe_type(field.type), **describe_default(field)}
                for field in workflow.fields
            ],
        },
        "statuses": describe_enum(workflow.status_type),
        "steps": [_describe_step(step) for step in workflow.steps.values()],
        "record_transitions": workflow.record_transitions,
        "invariants": dict(workflow.invariants),
    }


def _describe_step(step: Step) -> dict[str, Any]:
    return {
        "kind": step.kind.name.lower(),
        "name": step.name,
        "from": step.from_status.name,
        "to": [status.name for status in step.to],
    }


def restore(description: dict[str, Any]) -> RestoredWorkflow:
    """Return a workflow like the one described; its steps have no code.

    The members of its enums have their names as values. A default that only the workflow's code
    can compute raises DefinitionError when it is used.
    """
    types = TypeRestorer()
    statuses = types.enum(description["statuses"])
    workflow = RestoredWorkflow(
        description["name"],
        _restore_object(types, description["object"]),
        statuses,
        record_transitions=description["record_transitions"],
    )
    for step in description["steps"]:
        _restore_step(workflow, statuses, step)
    # A description that an older batchflow made has none.
    for name, condition in description.get("invariants", {}).items():
        workflow.invariant(name, condition)
    return workflow


def _restore_object(types: TypeRestorer, described: dict[str, Any]) -> type[Any]:
    fields = []
    for field in described["fields"]:
        annotation = types.annotation(field["type"])
        default = restore_default(field, field_type_of(annotation), field["name"])
        fields.append((field["name"], annotation, default))
    return make_class(described["name"], fields)


def _restore_step(
    workflow: AnyWorkflow, statuses: type[enum.Enum], described: dict[str, Any]
) -> None:
    from_status, to = statuses[described["from"]], [statuses[name] for name in described["to"]]
    kind = StepKind[described["kind"].upper()]
    match kind:
        case StepKind.ROW | StepKind.BATCH:
            code = MissingCode(described["name"])
            workflow.add_step(from_status, code, *to, batch=kind is StepKind.BATCH)
        case StepKind.SQL:
            workflow.sql_step(from_status, to=to, status=f"error('{_NO_CODE}')")
        case _:
            assert_never(kind)
