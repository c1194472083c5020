"""The columns that a batch step is given."""

from __future__ import annotations

import datetime
import enum
import functools
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batchflow.columns.array_reading import read_array
from batchflow.columns.array_writing import as_column, write_column
from batchflow.columns.arrays import AnyArray, object_array, one_array
from batchflow.columns.intervals import holds_durations, with_durations
from batchflow.columns.value_writing import WrittenColumn
from batchflow.definition.fields import Field
from batchflow.view.context import ChunkContext
from batchflow.view.marks import Marks

if TYPE_CHECKING:
    import polars

ObjectT = TypeVar("ObjectT")
StatusT = TypeVar("StatusT", bound=enum.Enum)


class Batch(Generic[ObjectT, StatusT]):
    """Runs that stand at one status, as columns: one value a run, in the same order everywhere.

    ``batch["total"]`` reads a field and ``batch["total"] = values`` replaces it, where values are
    a NumPy, Arrow, pandas or Polars column, a list, or one value for all. What is read can't be
    changed in place. The changes of a run are stored if it moves to a status or is to repeat.

    How a field is read depends on its type alone: bool, int and float as their NumPy dtype, or as
    objects where the field may be None; date, datetime and timedelta as ``datetime64`` and
    ``timedelta64`` with NaT for None, in UTC; all else as objects.
    """

    def __init__(
        self,
        context: ChunkContext,
        fields: Sequence[Field],
        deadline: float | None = None,
    ) -> None:
        """Take the runs of the context's chunk; `deadline` is on the monotonic clock."""
        self._context = context
        self._fields = {field.name: field for field in fields}
        self._deadline = deadline
        self._rows = context.chunk.rows
        self._read: dict[str, AnyArray] = {}
        self._assigned: dict[str, AnyArray | pa.Array] = {}
        self._marks = Marks(context.chunk.num_rows)

    def __len__(self) -> int:
        return self._context.chunk.num_rows

    def __repr__(self) -> str:
        return f"<Batch of {len(self)} runs at {self.status.name}: {', '.join(self._readable)}>"

    def __getitem__(self, name: str) -> AnyArray:
        """Return a field's values, shape (n,): those assigned, or else those stored.

        Raises:
            LookupError: there is no such field, or the step doesn't read it.
        """
        if name in self._assigned:
            return self._assigned_array(name)
        if name not in self._read:
            self._require_readable(name)
            self._read[name] = read_array(self._context.column(name), self._fields[name].type)
        return self._read[name]

    def __setitem__(self, name: str, values: Any) -> None:
        """Replace a field's values.

        Raises:
            LookupError: there is no such field.
            ValueError: there are more or fewer values than runs.
        """
        self._require_field(name)
        self._assigned[name] = as_column(values, len(self), self._fields[name].type)

    @functools.cached_property
    def arrow(self) -> pa.Table:
        """The fields that the step reads, as they are stored; timedeltas as durations."""
        table = self._rows.select(self._readable)
        for at, name in enumerate(self._readable):
            if holds_durations(self._fields[name].type):
                column = with_durations(one_array(table[at]), self._fields[name].type)
                table = table.set_column(at, name, column)
        return table

    def polars(self) -> polars.DataFrame:
        """Return `arrow` as a Polars frame; needs the package polars."""
        try:
            import polars
        except ImportError:
            raise ImportError("batch.polars() needs Polars; pip install polars") from None
        return cast("polars.DataFrame", polars.from_arrow(_plain_for_frames(self.arrow)))

    @functools.cached_property
    def run_id(self) -> AnyArray:
        """The engine's ids of the runs, the same over all retries, as UUIDs."""
        return object_array([self._context.run_id(row) for row in range(len(self))])

    @functools.cached_property
    def foreign_id(self) -> AnyArray:
        """The user's own keys of the records."""
        return object_array(list(self._context.foreign_ids))

    @functools.cached_property
    def attempt(self) -> npt.NDArray[np.int64]:
        """How many times in a row each run has failed at this status, plus one."""
        return np.array(self._context.attempts, dtype=np.int64)

    @functools.cached_property
    def created_at(self) -> npt.NDArray[np.datetime64]:
        """When each run was triggered, in UTC."""
        moments: list[datetime.datetime] = self._context.created_at
        return np.array([at.replace(tzinfo=None) for at in moments], dtype="datetime64[us]")

    @property
    def status(self) -> StatusT:
        """The status that all these runs stand at."""
        return cast(StatusT, self._context.status)

    @property
    def resources(self) -> Mapping[str, Any]:
        """What the workflow's `resources` opened in this worker, by name."""
        return self._context.resources

    @property
    def stopping(self) -> bool:
        """Whether the engine is to stop, or the step's time is up; long loops look at it."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return True
        return self._context.stopping()

    def fail(self, mask: Any, error: BaseException | type[BaseException] | str) -> None:
        """Fail the runs where `mask` is true, with an exception or with a text for one.

        Marks go before the step's answer, and a later mark before an earlier one.
        """
        self._marks.fail(mask, error)

    def skip(self, mask: Any) -> None:
        """Leave the runs where `mask` is true as they were, until something changes them."""
        self._marks.skip(mask)

    def repeat(self, mask: Any) -> None:
        """Save the objects of the runs where `mask` is true, and queue them behind the others."""
        self._marks.repeat(mask)

    def pause(self, mask: Any, reason: str) -> None:
        """Stop the runs where `mask` is true until somebody resumes them."""
        self._marks.pause(mask, reason)

    def cancel(self, mask: Any, reason: str) -> None:
        """End the runs where `mask` is true for good."""
        self._marks.cancel(mask, reason)

    @property
    def _readable(self) -> list[str]:
        return [name for name in self._fields if name in self._rows.column_names]

    def _require_field(self, name: str) -> None:
        if name not in self._fields:
            raise LookupError(f"there is no field {name!r}; there are {', '.join(self._fields)}")

    def _require_readable(self, name: str) -> None:
        self._require_field(name)
        if name not in self._rows.column_names:
            raise LookupError(
                f"the step reads {', '.join(self._readable)}, and not {name!r}; "
                "add it to the step's columns"
            )

    def _assigned_array(self, name: str) -> AnyArray:
        column = self._assigned[name]
        if isinstance(column, np.ndarray):
            return column
        field_type = self._fields[name].type
        return read_array(write_column(column, field_type).array, field_type)


def marks_of(batch: Batch[Any, Any]) -> Marks:
    """Return the marks that the step put on runs."""
    return batch._marks


def written_by(batch: Batch[Any, Any]) -> list[tuple[Field, WrittenColumn]]:
    """Return the fields that the step assigned, in their columns' types."""
    fields = batch._fields
    return [
        (fields[name], write_column(column, fields[name].type))
        for name, column in batch._assigned.items()
    ]


def _plain_for_frames(table: pa.Table) -> pa.Table:
    """Put plain types in the place of those that only DuckDB and Arrow know."""
    for at, column in enumerate(table.schema):
        if isinstance(column.type, pa.UuidType):
            table = table.set_column(at, column.name, table[at].cast(column.type.storage_type))
    return table
