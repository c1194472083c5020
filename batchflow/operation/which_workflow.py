"""Choosing the workflow that a call is about."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from batchflow.definition.workflow import AnyWorkflow
from batchflow.errors import InvalidOptionError, WorkflowNotFoundError


def chosen_workflow(names: Collection[str], name: str | None) -> str:
    """Return the workflow that is named, or the only one.

    Raises:
        WorkflowNotFoundError: There is no such workflow.
        InvalidOptionError: None is named, and there are several.
    """
    known = ", ".join(map(repr, names)) or "none yet"
    if name is None and len(names) == 1:
        return next(iter(names))
    if name is None and names:
        raise InvalidOptionError(
            f"There are {len(names)} workflows; give workflow= one of: {known}.", option="workflow"
        )
    if name is None or name not in names:
        found = "There is no workflow" if name is None else f"There is no workflow {name!r}"
        raise WorkflowNotFoundError(f"{found}; the workflows are: {known}.")
    return name


def workflow_of_object(
    workflows: Mapping[str, AnyWorkflow], instance: object, name: str | None
) -> str:
    """Return the workflow that is named, or the only one that takes such objects.

    Raises:
        WorkflowNotFoundError: There is no such workflow.
        InvalidOptionError: None is named, and several or none take such objects.
    """
    if name is None and len(workflows) > 1:
        fitting = [each for each in workflows if _takes(workflows[each], instance)]
        if len(fitting) == 1:
            return fitting[0]
    return chosen_workflow(workflows, name)


def _takes(workflow: AnyWorkflow, instance: object) -> bool:
    expected = workflow.object_type
    return isinstance(instance, expected) or is_alike(type(instance), expected)


def is_alike(found: type, expected: type) -> bool:
    """Return whether a class, or one of its bases, is a dataclass with the same name and fields.

    A process that knows a workflow only by its description makes classes of its own.
    """
    return any(
        dataclasses.is_dataclass(base)
        and base.__name__ == expected.__name__
        and _field_names(base) == _field_names(expected)
        for base in found.__mro__
    )


def _field_names(dataclass: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(dataclass)]
