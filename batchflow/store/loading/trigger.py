"""Trigger the run of one record."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from batchflow import crash_point
from batchflow.chunk.chunk import FOREIGN_ID
from batchflow.columns.misfit import phrase_of
from batchflow.columns.value_writing import WrittenColumn, write_values
from batchflow.definition.field_type import SCALARS
from batchflow.definition.fields import Field
from batchflow.errors import ConflictError, InvalidRowsError, LoadError
from batchflow.store.changes import RunsAdded
from batchflow.store.database.connection import Connection
from batchflow.store.database.instance import Cursor
from batchflow.store.database.staging import registered
from batchflow.store.loading.load_plan import engine_values
from batchflow.store.loading.object_columns import ObjectColumns, UnlikeObjectError
from batchflow.store.loading.starting_point import starting_code
from batchflow.store.runs.unfinished import UnfinishedIds
from batchflow.store.schema.layout import AnyWorkflow, Layout, next_seq, quote, set_next_seq
from batchflow.store.schema.shard import ShardNumber, shard_of

_VIEW: Final = "batchflow_object"


class SingleTrigger:
    """Start runs of one workflow, one at a time.

    Args:
        connection: The connection to the store.
        layout: Where the runs of the workflow are stored.
    """

    def __init__(self, connection: Connection, layout: Layout) -> None:
        self._connection = connection
        self._layout = layout
        self._unfinished = UnfinishedIds(layout)

    def forget_unfinished(self) -> None:
        """Look up again which runs are unfinished; within the transaction that changes that."""
        self._unfinished.forget()

    def __call__(
        self, foreign_id: str, given: Any, at: enum.Enum | str | None, now: datetime
    ) -> RunsAdded:
        """Start a run of an object.

        Args:
            foreign_id: The user's key of the record.
            given: The object; see `object_row`.
            at: The status where the run begins; None for the only starting point.
            now: The time of the run's creation.

        Raises:
            ConflictError: The foreign id has an unfinished run.
            InvalidRowsError: A field's value doesn't fit its type.
            LoadError: The object or the foreign id is of another class, the status where the run
                begins is not clear, or another shard has the runs of this foreign id.
        """
        code = starting_code(self._layout.workflow, at)
        columns = object_row(self._layout.workflow, given, self._connection.log_values)
        row = columns.append_column(FOREIGN_ID, _text(foreign_id))
        self._require_own(foreign_id)
        with self._connection.write() as cursor:
            seq = next_seq(cursor, self._layout.name)
            if self._unfinished.find(cursor, foreign_id, seq):
                raise _conflict(self._layout, foreign_id)
            self._insert(cursor, row, seq, engine_values(self._layout, code, now))
            crash_point.reached("within_load")
            set_next_seq(cursor, self._layout.name, seq + 1)
        return RunsAdded(self._layout.name, code, seq, seq)

    def _require_own(self, foreign_id: str) -> None:
        shard = self._layout.shard
        if shard is not None and not shard.has_id(foreign_id):
            shards = shard.number.shards
            other = ShardNumber(shard_of(foreign_id, shards), shards)
            raise LoadError(
                f"Shard {other} has the runs of the foreign id {foreign_id!r}, and this store is "
                f"shard {shard.number}. Trigger it there, or through bf.Stores of the set."
            )

    def _insert(self, cursor: Cursor, row: pa.Table, seq: int, engine: dict[str, str]) -> None:
        values = {
            "seq": str(seq),
            "foreign_id": quote(FOREIGN_ID),
            **engine,
            **{
                quote(field.column): f"CAST({quote(field.name)} AS {field.type.sql})"
                for field in self._layout.fields
            },
        }
        with registered(cursor, _VIEW, row):
            cursor.execute(
                f"INSERT INTO {self._layout.runs} ({', '.join(values)}) "
                f"SELECT {', '.join(values.values())} FROM {_VIEW}"
            )


def _conflict(layout: Layout, foreign_id: str) -> ConflictError:
    return ConflictError(
        f"Foreign id {foreign_id!r} has an unfinished run in workflow {layout.name!r}. Let it "
        "finish, or cancel it, before you start another.",
        count=1,
        foreign_ids=[foreign_id],
    )


def object_row(workflow: AnyWorkflow, given: Any, log_values: bool = False) -> pa.Table:
    """Return an object as one row, with a column for each field.

    Args:
        workflow: The workflow whose object it is.
        given: An instance of its object type, of a dataclass with the same name and fields, or a
            mapping of the fields' values by name.
        log_values: Whether messages show values.

    Raises:
        LoadError: It is something else.
        InvalidRowsError: A field's value doesn't fit its type.
    """
    name = workflow.object_type.__name__
    try:
        columns = ObjectColumns(workflow).write([given])
    except UnlikeObjectError as unlike:
        raise LoadError(
            f"Workflow {workflow.name!r} carries objects of {name}, but this one {unlike.problem}. "
            f"Give an instance of {name}, or a mapping of its fields' values."
        ) from None
    _require_fit(workflow.fields, columns, log_values)
    arrays = [column.array for column in columns]
    return pa.table(dict(zip((field.name for field in workflow.fields), arrays, strict=True)))


def _text(foreign_id: object) -> pa.Array:
    written = write_values([foreign_id], SCALARS[str])
    if written.problems:
        raise LoadError(f"The foreign id is {written.problems[0]}. Give a text or an integer.")
    if foreign_id == "":
        raise LoadError("The foreign id is an empty text. Give your own key of the record.")
    return written.array


def _require_fit(
    fields: Sequence[Field], columns: Sequence[WrittenColumn], log_values: bool
) -> None:
    found = {
        field.name: f"field {field.name!r} is "
        f"{phrase_of(column.problems[0], log_values=log_values)} instead of {field.type}"
        for field, column in zip(fields, columns, strict=True)
        if column.problems
    }
    if found:
        raise InvalidRowsError(
            "The object doesn't fit its columns, so no run was triggered: "
            f"{'; '.join(found.values())}.",
            column=next(iter(found)),
            count=1,
            sample=found.values(),
        )
