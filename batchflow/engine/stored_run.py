"""One run as it is stored, with its object."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, fields
from datetime import UTC
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from batchflow.definition import RunState
from batchflow.engine.life import History, life_shown
from batchflow.picture import LONGEST_CELL, escaped, html_table, moment_of, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
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
    # No field, as the engine that knows it is no part of the value.
    _history: ClassVar[History | None] = None

    def __getstate__(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def _repr_html_(self) -> str:
        values = html_table((type(self.object).__name__, ""), _rows(self.object))
        history = self._history
        life = "" if history is None else life_shown(self.created_at, self.version, history)
        return f"<div>{_head(self)}{values}{life}</div>"


def _head(run: StoredRun[Any, Any]) -> str:
    """Say what the run is, and how it is; what is left out is as it is with most runs."""
    reason = "" if run.reason is None else f": {run.reason}"
    how = [run.foreign_id, run.status.name, f"{run.run_state.name}{reason}"]
    if run.next_attempt_at is not None and run.run_state is RunState.RUNNING:
        how.append(f"attempt {run.attempt} at {moment_of(run.next_attempt_at.astimezone(UTC))}")
    which = [
        f"run {run.run_id}",
        f"version {run.version}",
        f"triggered {moment_of(run.created_at.astimezone(UTC))}",
        f"changed {moment_of(run.updated_at.astimezone(UTC))}",
    ]
    said = f"<b>{_in_a_line(how)}</b><br/><small>{_in_a_line(which)}</small>"
    return f'<div style="margin:.3em .6em .8em;overflow-wrap:anywhere">{said}</div>'


def _in_a_line(parts: Iterable[str]) -> str:
    # Each apart from the others, also where one is written from right to left.
    return " · ".join(f"<bdi>{escaped(shortened(part, LONGEST_CELL))}</bdi>" for part in parts)


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
    run: StoredRun[Any, Any] = StoredRun(
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
    )
    object.__setattr__(run, "_history", history)
    return run
