"""Options of a load."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from batchflow.errors import InvalidOptionError, LoadError
from batchflow.store.schema.layout import AnyWorkflow

SkipOrError: TypeAlias = Literal["skip", "error"]

_CHOICES: Final = ("skip", "error")


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """How a source is loaded.

    Attributes:
        foreign_id: The source's column with the foreign ids; None for the column ``foreign_id``.
        at: The status where the runs begin, as a member or its name; None for the workflow's
            only starting point.
        on_conflict: What to do with rows whose foreign id has an unfinished run, or occurs in an
            earlier row of the source: "skip" leaves them out, "error" loads nothing and raises.
        on_invalid: What to do with rows that don't fit the fields' types: "error" loads nothing
            and raises, "skip" leaves them out.
        strict: Whether a source with columns that are not fields is refused.

    Raises:
        InvalidOptionError: An option has a value that isn't allowed.
    """

    foreign_id: str | None = None
    at: enum.Enum | str | None = None
    on_conflict: SkipOrError = "skip"
    on_invalid: SkipOrError = "error"
    strict: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.foreign_id, str | None):
            raise InvalidOptionError(
                f"foreign_id is {self.foreign_id!r}; give a column's name.", option="foreign_id"
            )
        _require_choice("on_conflict", self.on_conflict)
        _require_choice("on_invalid", self.on_invalid)
        if not isinstance(self.strict, bool):
            raise InvalidOptionError(
                f"strict is {self.strict!r}; give True or False.", option="strict"
            )


def _require_choice(option: str, value: object) -> None:
    if value not in _CHOICES:
        names = " or ".join(f'"{each}"' for each in _CHOICES)
        raise InvalidOptionError(f"{option} is {value!r}; give {names}.", option=option)


def starting_code(workflow: AnyWorkflow, at: enum.Enum | str | None) -> int:
    """Return the code of the status where runs begin.

    Raises:
        LoadError: `at` is None and the workflow has several starting points, or the status has no
            step.
        DefinitionError: The workflow has no such status.
    """
    if at is not None:
        return _with_step(workflow, workflow.code_of(at))
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
