"""One run as it is stored, with its object."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, fields
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from batchflow.columns.value_reading import read_values
from batchflow.definition import RunState
from batchflow.picture import LONGEST_CELL, escaped, html_table, moment_of, shortened
from batchflow.store.query.life import History, life_shown
from batchflow.store.query.queries import history
from batchflow.store.query.relation import Relation
from batchflow.store.schema.layout import literal
from batchflow.store.schema.run_id import run_not_found

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from uuid import UUID

    import pyarrow as pa

    from batchflow.definition import AnyWorkflow
    from batchflow.store.query.catalog import FoundRun
    from batchflow.store.query.source import Source

ObjectT = TypeVar("ObjectT")
StatusT = TypeVar("StatusT", bound=enum.Enum)


@dataclass(frozen=True)
class StoredRun(Generic[ObjectT, StatusT]):
    """A run as it was when it was read; later changes don't show in it.

    Its repr leaves out the object, which doesn't belong into logs. A notebook shows it, with the
    run's history until then, as long as the store can be read.

    Attributes:
        version: Rises by one with each stored change, from 1.
        attempt: How many times in a row it has failed at its status, plus one.
        next_attempt_at: When it is due again, if it backs off after a failure.
        reason: Why it is paused or cancelled.
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
    # Not a field, as the store that it is read from is no part of the value.
    _history: ClassVar[History | None] = None

    def __getstate__(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def _repr_html_(self) -> str:
        values = html_table((type(self.object).__name__, ""), _rows(self.object))
        history = self._history
        life = "" if history is None else life_shown(self.created_at, self.version, history)
        return f"<div>{_head(self)}{values}{life}</div>"


def _head(run: StoredRun[Any, Any]) -> str:
    """Return a line on the run and its state; what most runs have in common is left out."""
    reason = "" if run.reason is None else f": {run.reason}"
    state = [run.foreign_id, run.status.name, f"{run.run_state.name}{reason}"]
    if run.next_attempt_at is not None and run.run_state is RunState.RUNNING:
        state.append(f"attempt {run.attempt} at {moment_of(run.next_attempt_at.astimezone(UTC))}")
    identity = [
        f"run {run.run_id}",
        f"version {run.version}",
        f"triggered {moment_of(run.created_at.astimezone(UTC))}",
        f"changed {moment_of(run.updated_at.astimezone(UTC))}",
    ]
    line = f"<b>{_in_a_line(state)}</b><br/><small>{_in_a_line(identity)}</small>"
    return f'<div style="margin:.3em .6em .8em;overflow-wrap:anywhere">{line}</div>'


def _in_a_line(parts: Iterable[str]) -> str:
    # Isolated, as a part may be written from right to left.
    return " · ".join(f"<bdi>{escaped(shortened(part, LONGEST_CELL))}</bdi>" for part in parts)


def _rows(instance: Any) -> list[tuple[str, str | None]]:
    return [(each.name, _text_of(getattr(instance, each.name))) for each in fields(instance)]


def _text_of(value: Any) -> str | None:
    if value is None:
        return None
    return value.name if isinstance(value, enum.Enum) else str(value)


def read_run(source: Source, workflow: AnyWorkflow, run: FoundRun) -> StoredRun[Any, Any]:
    """Return a run with its object.

    Raises:
        RunNotFoundError: There is no such run.
    """
    query = f"SELECT * FROM {run.tables.runs} WHERE seq = $seq"
    row = Relation(source, query, {"seq": run.seq}).to_arrow_table()
    if not row.num_rows:
        raise run_not_found(run.run_id)
    read = _values_of(workflow, row)
    until = partial(_history_until, source, run, read["version"], read["updated_at"])
    return _stored_run(workflow, read, History(until))


def _values_of(workflow: AnyWorkflow, row: pa.Table) -> dict[str, Any]:
    """Return a row's values by column; those of the object as a step sees them."""
    types = {field.column: field.type for field in workflow.fields}
    columns = {name: row[name].combine_chunks() for name in row.column_names}
    return {
        name: read_values(column, types[name])[0] if name in types else column[0].as_py()
        for name, column in columns.items()
    }


def _history_until(source: Source, run: FoundRun, version: int, moment: datetime) -> Relation:
    # Failures have no version where transitions aren't recorded.
    by_then = f"committed_at <= TIMESTAMPTZ {literal(moment.isoformat())}"
    until = f"coalesce(version <= {version}, {by_then})"
    return history(source, run).filter(until).order("version, committed_at, attempt")


def _stored_run(
    workflow: AnyWorkflow, row: Mapping[str, Any], history: History
) -> StoredRun[Any, Any]:
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
