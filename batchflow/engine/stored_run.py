"""One run as it is stored, with its object."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from batchflow.definition import RunState
from batchflow.engine.life import History, life_shown
from batchflow.picture import html_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from batchflow.definition import AnyWorkflow

ObjectT = TypeVar("ObjectT")
StatusT = TypeVar("StatusT", bound=enum.Enum)


@dataclass(frozen=True)
class StoredRun(Generic[ObjectT, StatusT]):
    """A run as it was when it was asked for; it doesn't follow what happens later.

    Its repr leaves out the object, as logs are no place for that. A notebook shows it, and what
    happened to the run until then, as long as its engine is open.

    Attributes:
        version: rises by one with each stored change, from 1.
        attempt: how many times in a row it has failed at its status, plus one.
        next_attempt_at: when it is due again, if it backs off after a failure.
        reason: why it is paused or cancelled.
    """

    run_id: UUID
    foreign_id: str
    status: StatusT
    run_state: RunState
    object: ObjectT = field(repr=False)
    version: int
    attempt: int
    next_attempt_at: datetime | None
    reason: str | None
    created_at: datetime
    updated_at: datetime
    _history: History | None = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        # The engine that knows its history stays where it is.
        return {**self.__dict__, "_history": None}

    def _repr_html_(self) -> str:
        # Two tables, as the object's fields may have the names of the run's.
        own = html_table(("run", ""), [row for row in _rows(self) if row[0] not in _NOT_SAID])
        values = html_table((type(self.object).__name__, ""), _rows(self.object))
        life = "" if self._history is None else life_shown(self.created_at, self._history)
        beside = "display:flex;flex-wrap:wrap;gap:1em;align-items:flex-start"
        return f'<div><div style="{beside}">{own}{values}</div>{life}</div>'


_NOT_SAID: Final = {"object", "_history"}


def _rows(instance: Any) -> list[tuple[str, str | None]]:
    return [(each.name, _said(getattr(instance, each.name))) for each in fields(instance)]


def _said(value: Any) -> str | None:
    if value is None:
        return None
    return value.name if isinstance(value, enum.Enum) else str(value)


def stored_run(
    workflow: AnyWorkflow, row: Mapping[str, Any], history: History
) -> StoredRun[Any, Any]:
    """Build a run from the columns of its row, by name."""
    values = {field.name: row[field.column] for field in workflow.fields}
    return StoredRun(
        run_id=row["run_id"],
        foreign_id=row["foreign_id"],
        status=workflow.status_type[row["status"]],
        run_state=RunState[row["run_state"]],
        object=workflow.object_type(**values),
        version=row["version"],
        attempt=row["attempt"],
        next_attempt_at=row["next_attempt_at"],
        reason=row["reason"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        _history=history,
    )
