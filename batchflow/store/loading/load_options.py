"""What may be asked of a load."""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields
from typing import Final

from batchflow.errors import LoadError
from batchflow.store.schema.layout import AnyWorkflow

_CHOICES: Final = {"on_conflict": ("skip", "error"), "on_invalid": ("refuse", "skip")}


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """Say how a source is loaded.

    Attributes:
        foreign_id: the source's column with the foreign ids; None for the column ``foreign_id``.
        at: the status where the runs begin, as a member or its name; None for the workflow's
            only starting point.
        on_conflict: what becomes of rows whose foreign id has an unfinished run, or stood in the
            source before: "skip" leaves them out, "error" refuses the source.
        on_invalid: what becomes of rows that don't fit the fields' types: "refuse" refuses the
            source, "skip" leaves them out.
        strict: whether columns that are no fields are refused.

    Raises:
        LoadError: a choice is none of these, or `foreign_id` is no name.
    """

    foreign_id: str | None = None
    at: enum.Enum | str | None = None
    on_conflict: str = "skip"
    on_invalid: str = "refuse"
    strict: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.foreign_id, str | None):
            raise LoadError(f"foreign_id is {self.foreign_id!r}; give a column's name.")
        for field in fields(self):
            choices = _CHOICES.get(field.name, ())
            if choices and getattr(self, field.name) not in choices:
                raise LoadError(
                    f"{field.name} is {getattr(self, field.name)!r}; give one of "
                    f"{', '.join(map(repr, choices))}."
                )


def starting_code(workflow: AnyWorkflow, at: enum.Enum | str | None) -> int:
    """Return the code of the status where runs are to begin.

    Raises:
        LoadError: it isn't said and the workflow has several starting points, or no step stands
            on it.
        DefinitionError: the workflow has no such status.
    """
    if at is not None:
        return _with_step(workflow, workflow.code_of(at))
    codes = sorted(workflow.starting_codes)
    if len(codes) != 1:
        names = ", ".join(workflow.status_names[code] for code in codes)
        raise LoadError(
            f"Workflow {workflow.name!r} has {len(codes)} starting points ({names}); say with at= "
            "where the runs begin."
        )
    return codes[0]


def _with_step(workflow: AnyWorkflow, code: int) -> int:
    if code not in workflow.steps:
        names = ", ".join(workflow.status_names[known] for known in workflow.steps)
        raise LoadError(
            f"No step of workflow {workflow.name!r} stands on {workflow.status_names[code]}, so "
            f"no run can begin there; give one of {names}."
        )
    return code
