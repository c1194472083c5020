"""The columns that a batch step receives."""

from __future__ import annotations

import datetime
import enum
import functools
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batchflow.closest_name import did_you_mean
from batchflow.columns.array_reading import read_array
from batchflow.columns.array_writing import as_column, to_array, write_column
from batchflow.columns.arrays import AnyArray, object_array, one_array
from batchflow.columns.changes_in_place import changed_in_place, with_unfit
from batchflow.columns.intervals import holds_durations, with_durations
from batchflow.columns.row_order import WrongLengthError, counted_values
from batchflow.columns.value_writing import WrittenColumn
from batchflow.definition.fields import Field
from batchflow.definition.outcome import Outcome
from batchflow.definition.reason import checked_reason
from batchflow.short_form import counted
from batchflow.view.batch_access import no_attribute, no_rows, require_name
from batchflow.view.context import ChunkContext
from batchflow.view.marks import Marks, as_mask, exception_of
from batchflow.view.status_codes import StatusCodes, status_codes

if TYPE_CHECKING:
    import polars

_OWN_ATTRIBUTES = frozenset(
    {"_context", "_fields", "_deadline", "_rows", "_read", "_assigned", "_marks"}
)

WrittenField = tuple[Field, WrittenColumn, npt.NDArray[np.bool_] | None]

ObjectT = TypeVar("ObjectT")
StatusT = TypeVar("StatusT", bound=enum.Enum)


class Batch(Generic[ObjectT, StatusT]):
    """Runs at one status, as columns with one value for each run, always in the same order.

    ``batch["total"]`` reads a field, and ``batch["total"] = values`` replaces it. The values are a
    NumPy, Arrow, pandas or Polars column, a list, or one value for all runs. The arrays that are
    read are read-only. The changes of a run are stored if it moves to a status or repeats.

    The index of a batch has the numbers 0 to n - 1, like that of ``pd.DataFrame({"total":
    batch["total"]})``. A pandas column is aligned by its index, and refused if that isn't a
    permutation of the batch's. Columns without an index are taken in their order. A column, mask
    or answer that doesn't have one value for each run fails all runs of the batch.

    The type of a field alone decides how it is read: bool, int and float with their NumPy dtype, or
    as objects if the field may be None; date, datetime and timedelta as ``datetime64`` and
    ``timedelta64``, in UTC and with NaT for None; all other types as objects.
    """

    def __init__(
        self,
        context: ChunkContext,
        fields: Sequence[Field],
        deadline: float | None = None,
    ) -> None:
        """Create a batch of the context's chunk; `deadline` is on the monotonic clock."""
        self._context = context
        self._fields = {field.name: field for field in fields}
        self._deadline = deadline
        self._rows = context.chunk.rows
        self._read: dict[str, AnyArray] = {}
        self._assigned: dict[str, AnyArray | pa.Array] = {}
        self._marks = Marks(context.chunk.num_rows)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _OWN_ATTRIBUTES:
            raise AttributeError(
                f"A batch has no attribute {name!r} to assign to. Write batch[{name!r}] = values."
            )
        super().__setattr__(name, value)

    if not TYPE_CHECKING:  # Type checkers would accept any attribute.

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(f"A batch has no attribute {name!r}.")
            raise AttributeError(no_attribute(name, type(self), self._fields))

    def __iter__(self) -> NoReturn:
        """Raise an error, because a batch has columns and no rows.

        Raises:
            TypeError: Always.
        """
        raise TypeError(no_rows(self._fields))

    def __len__(self) -> int:
        return self._context.chunk.num_rows

    def __repr__(self) -> str:
        runs = counted(len(self), "run")
        # A batch that is made for a test may have no status.
        status = getattr(self.status, "name", None)
        return f"<Batch of {runs} at {status}: {', '.join(self._readable)}>"

    def __getitem__(self, name: str) -> AnyArray:
        """Return a field's values, shape (n,): the assigned ones, or else the stored ones.

        Raises:
            LookupError: There is no such field, or the step doesn't read it.
            TypeError: The name isn't a text.
        """
        require_name(name, self._fields)
        if name in self._assigned:
            return self._assigned_array(name)
        if name not in self._read:
            self._require_readable(name)
            self._read[name] = read_array(self._context.column(name), self._fields[name].type)
        return self._read[name]

    def __setitem__(self, name: str, values: Any) -> None:
        """Replace a field's values.

        Raises:
            LookupError: There is no such field.
            ValueError: There are more or fewer values than runs, or their order isn't known.
        """
        require_name(name, self._fields)
        self._require_field(name)
        self._assigned[name] = as_column(values, len(self), self._fields[name].type)

    @functools.cached_property
    def arrow(self) -> pa.Table:
        """The fields that the step reads, as stored; timedeltas are durations."""
        table = self._rows.select(self._readable)
        for at, name in enumerate(self._readable):
            if holds_durations(self._fields[name].type):
                column = with_durations(one_array(table[at]), self._fields[name].type)
                table = table.set_column(at, name, column)
        return table

    def polars(self) -> polars.DataFrame:
        """Return `arrow` as a Polars data frame.

        Raises:
            ImportError: Polars isn't installed.
        """
        try:
            import polars
        except ImportError:
            raise ImportError(
                "batch.polars() needs Polars. Install it with: pip install polars"
            ) from None
        return cast("polars.DataFrame", polars.from_arrow(_plain_for_frames(self.arrow)))

    @functools.cached_property
    def run_id(self) -> AnyArray:
        """The engine's ids of the runs as UUIDs; a retry doesn't change them."""
        return object_array([self._context.run_id(row) for row in range(len(self))])

    @functools.cached_property
    def foreign_id(self) -> AnyArray:
        """The user's keys of the records."""
        return object_array(list(self._context.foreign_ids))

    @functools.cached_property
    def attempt(self) -> npt.NDArray[np.int64]:
        """The number of consecutive failures of each run at this status, plus one."""
        return np.array(self._context.attempts, dtype=np.int64)

    @functools.cached_property
    def created_at(self) -> npt.NDArray[np.datetime64]:
        """The time at which each run was triggered, in UTC."""
        moments: list[datetime.datetime] = self._context.created_at
        return np.array([at.replace(tzinfo=None) for at in moments], dtype="datetime64[us]")

    @property
    def status(self) -> StatusT:
        """The status of all these runs."""
        return cast(StatusT, self._context.status)

    @property
    def now(self) -> datetime.datetime:
        """The time of the engine's clock when it submitted the run, in UTC; ``$now`` in SQL.

        It is the same for all runs of a chunk, and stands still during a step.
        """
        return self._context.chunk.now

    @property
    def resources(self) -> Mapping[str, Any]:
        """The workflow's `resources` that this worker opened, by name."""
        return self._context.resources

    @property
    def stopping(self) -> bool:
        """Whether the engine is stopping, or the step's time is up; check it in long loops."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return True
        return self._context.stopping()

    def where(
        self,
        mask: Any,
        then: StatusT | Sequence[StatusT | None] | AnyArray | None,
        otherwise: StatusT | Sequence[StatusT | None] | AnyArray | None,
    ) -> AnyArray:
        """Return a column of statuses to answer with, chosen by `mask` for each run.

        It is ``np.where`` for statuses, which aligns pandas columns, and which type checkers
        accept. None leaves a run unchanged.

        Args:
            mask: A column of bools, one for each run.
            then: The status where `mask` is true, or a column with one for each run, such as the
                result of another `where`.
            otherwise: The status, or the column of statuses, where it is false or null.

        Raises:
            TypeError: The mask isn't made of bools.
            ValueError: The mask or a column doesn't have one value for each run.
        """
        chosen = as_mask(mask, len(self))
        return np.where(chosen, self._branch(then), self._branch(otherwise))

    def codes(self, values: Any) -> StatusCodes:
        """Return the answer that gives the status of each run by its code.

        Args:
            values: A column of ints: the positions of the statuses among the members of their
                enum, from 0. A null leaves its run unchanged.

        Raises:
            TypeError: The values aren't ints.
            ValueError: There are more or fewer values than runs.
        """
        return status_codes(values, len(self))

    def fail(self, mask: Any, error: BaseException | type[BaseException] | str) -> None:
        """Fail the runs where `mask` is true, with an exception or a message.

        A mark takes precedence over the step's answer, and a later mark over an earlier one.

        Raises:
            TypeError: The mask isn't made of bools, or the error is no exception and no text.
            ValueError: The mask doesn't have one value for each run.
        """
        self._marks.mark(mask, Outcome.FAILED, exception_of(error))

    def skip(self, mask: Any) -> None:
        """Leave the runs where `mask` is true unchanged until something else changes them."""
        self._marks.mark(mask, Outcome.SKIPPED)

    def repeat(self, mask: Any) -> None:
        """Store the changes of the runs where `mask` is true, and queue them behind the others."""
        self._marks.mark(mask, Outcome.REPEATED)

    def pause(self, mask: Any, reason: str) -> None:
        """Pause the runs where `mask` is true until they are resumed."""
        self._marks.mark(mask, Outcome.PAUSED, checked_reason(reason))

    def cancel(self, mask: Any, reason: str) -> None:
        """Cancel the runs where `mask` is true, for good."""
        self._marks.mark(mask, Outcome.CANCELLED, checked_reason(reason))

    def _branch(self, statuses: Any) -> AnyArray:
        if statuses is None or isinstance(statuses, enum.Enum | str):
            return object_array([statuses])
        column = to_array(statuses, len(self))
        if len(column) != len(self):
            raise WrongLengthError(counted_values(len(column)), len(self))
        return object_array(column.tolist())

    @property
    def _readable(self) -> list[str]:
        return [name for name in self._fields if name in self._rows.column_names]

    def _require_field(self, name: str) -> None:
        if name not in self._fields:
            hint = did_you_mean(name, self._fields)
            raise LookupError(
                f"There is no field {name!r}.{hint} The fields are {', '.join(self._fields)}."
            )

    def _require_readable(self, name: str) -> None:
        self._require_field(name)
        if name not in self._rows.column_names:
            raise LookupError(
                f"The step doesn't read field {name!r}; it reads {', '.join(self._readable)}. "
                "Add the field to the step's columns."
            )

    def _assigned_array(self, name: str) -> AnyArray:
        column = self._assigned[name]
        if isinstance(column, np.ndarray):
            return column
        field_type = self._fields[name].type
        written = write_column(column, field_type)
        array = read_array(written.array, field_type)
        if field_type.kind.nested:
            # The step may change these values in place, so they are what is written.
            self._assigned[name] = array = with_unfit(array, column, written)
        return array


def marks_of(batch: Batch[Any, Any]) -> Marks:
    """Return the marks that the step set."""
    return batch._marks


def written_by(batch: Batch[Any, Any]) -> list[WrittenField]:
    """Return the fields that the step assigned, or whose nested values it changed in place.

    Each has its column, and a mask of the runs that it is written for (None: all).

    Raises:
        InvalidObject: A dataclass has an attribute that isn't a field.
    """
    fields = batch._fields
    written: list[WrittenField] = [
        (fields[name], write_column(column, fields[name].type), None)
        for name, column in batch._assigned.items()
    ]
    for name, values in batch._read.items():
        if name not in batch._assigned and fields[name].type.kind.nested:
            changed = changed_in_place(values, batch._context.column(name), fields[name].type)
            written += [] if changed is None else [(fields[name], *changed)]
    return written


def _plain_for_frames(table: pa.Table) -> pa.Table:
    """Replace the types that only DuckDB and Arrow know."""
    for at, column in enumerate(table.schema):
        if isinstance(column.type, pa.UuidType):
            table = table.set_column(at, column.name, table[at].cast(column.type.storage_type))
    return table
