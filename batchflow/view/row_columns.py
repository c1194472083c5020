"""The object columns of a chunk, which row steps read and write by row and on demand.

`RowColumns.values` and `RowColumns.writes` have an entry for each field, indexed by row. An entry
is a placeholder until the first access replaces it by the column itself, so each later access is
two list look-ups and nothing else.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batchflow.columns.arrays import one_array
from batchflow.columns.leaves import LeafColumns, Leaves, leaves_of
from batchflow.columns.nested import same, snapshot
from batchflow.columns.value_reading import (
    MAY_BE_UNREADABLE,
    PartlyReadable,
    Unreadable,
    Values,
    read_values,
)
from batchflow.columns.value_writing import MISSING, WrittenColumn, write_values
from batchflow.definition.field_type import FieldType
from batchflow.definition.fields import Field
from batchflow.view.carried import Carried, CarriedColumn

_BLOCK_ROWS = 256
_OBJECT_ITSELF = -1
# The references to a value of a nested column where `NestedColumn` counts them, if only the column
# itself refers to it.
_ONLY_OURS = 4


class RowColumns:
    """The values of each run, and what the step changed.

    Attributes:
        values: The columns to read, by field: ``values[field][row]``.
        writes: The columns to assign to, by field.
        nested: The nested columns among those that the step has read.
        touched: By row, the nested fields that the step read and may have changed in place. The
            entry of a row is removed when it is settled.

    The columns and their placeholders don't keep each other alive: columns of thousands of values
    would otherwise stay until the garbage collector runs, which would visit each value.
    """

    def __init__(
        self,
        rows: pa.Table,
        fields: Sequence[Field],
        places: Sequence[int] = (),
        carried: Carried | None = None,
    ) -> None:
        """Create the columns of a chunk.

        Args:
            rows: The columns as they are stored.
            fields: The fields of the object.
            places: The place of each run in the chunk that the worker was given.
            carried: The nested values that go from step to step; None if no step comes next.
        """
        self._rows = rows
        self._fields = fields
        self._places = places
        self._carried = carried
        self._lock = threading.Lock()
        self.touched: dict[int, set[int]] = {}
        self.nested: list[NestedColumn] = []
        self.values: list[Any] = [_Unread(self, place) for place in range(len(fields))]
        self.writes: list[Any] = [_Unwritten(self, place) for place in range(len(fields))]

    @property
    def num_rows(self) -> int:
        """Return the number of runs."""
        return int(self._rows.num_rows)

    def load(self, place: int) -> Any:
        """Return a field's column, and read it on the first call."""
        with self._lock:
            if isinstance(self.values[place], _Unread):
                self.values[place] = self._column(place)
            return self.values[place]

    def open(self, place: int) -> Any:
        """Mark a field's column as written, and return it."""
        self.writes[place] = self.load(place)
        return self.writes[place]

    def touch_object(self, row: int) -> None:
        """Note that the view at `row` became a plain instance, which is compared as a whole."""
        self.touched.setdefault(row, set()).add(_OBJECT_ITSELF)

    def settle(self, row: int) -> bool:
        """Keep the present values of the nested fields that the run at `row` read.

        Returns:
            Whether `touch_object` was called for the row. Nothing is kept then, because the object
            has to be taken over.
        """
        places = self.touched.pop(row, ())
        if _OBJECT_ITSELF in places:
            return True
        for place in places:
            if self.values[place].settle(row):
                self.writes[place] = self.values[place]
        return False

    def take_over(self, row: int, left: object) -> None:
        """Keep all fields of `left`, the object of the run at `row` after the step."""
        for place, field in enumerate(self._fields):
            if field.type.kind.nested:
                self._take_over_nested(place, row, left)
            elif not _is_kept(self.values[place], row, getattr(left, field.name, MISSING)):
                self.writes[place][row] = getattr(left, field.name, MISSING)
        self.touched.pop(row, None)

    def written(self) -> Iterator[tuple[Field, WrittenColumn, npt.NDArray[np.bool_] | None]]:
        """Yield each written field, its values, and where they are valid (None: everywhere)."""
        for field, column in zip(self._fields, self.writes, strict=True):
            if isinstance(column, NestedColumn) and column.changed:
                yield field, *column.written()
            elif isinstance(column, list):
                yield field, *_written_scalars(column, field.type)

    def _column(self, place: int) -> Any:
        field = self._fields[place]
        if field.name not in self._rows.column_names:
            unread = f"Field {field.name!r} isn't one of the step's columns. Add it to them."
            return PartlyReadable([Unreadable(unread)] * self.num_rows)
        array = one_array(self._rows[field.name])
        if field.type.kind.nested:
            nested = NestedColumn(array, field.type, place, self.touched)
            if self._carried is not None:
                nested.carry(self._carried.column(field), self._places)
            self.nested.append(nested)
            return nested
        values = read_values(array, field.type)
        if field.type.kind in MAY_BE_UNREADABLE and Unreadable in set(map(type, values)):
            return PartlyReadable(values)
        return values

    def _take_over_nested(self, place: int, row: int, left: object) -> None:
        value = getattr(left, self._fields[place].name, MISSING)
        column = self.load(place)
        if isinstance(column, NestedColumn):
            column.put(row, value)
            if column.settle(row):
                self.writes[place] = column
        else:
            self.writes[place][row] = snapshot(value, self._fields[place].type)


class SealedError(Exception):
    """The step that the object was made for has ended."""


class SealedColumns:
    """The columns of objects whose step has ended: they can be read, but not written."""

    def __init__(self, columns: RowColumns) -> None:
        # Values that weren't read yet are read from there.
        self._columns = columns
        self.values = columns.values

    @property
    def writes(self) -> list[Any]:
        """Raise an error, because nothing can be written any more.

        Raises:
            SealedError: Always.
        """
        raise SealedError

    def touch_object(self, row: int) -> None:
        """Do nothing, because changes of the object have no effect any more."""


class NestedColumn:
    """A column of lists, dicts or dataclasses; a block of them is created on first access.

    What a step leaves is compared by its leaves with what it got, which is what counts as
    unchanged: a dataclass may change its values when it is created. A value without leaves is
    compared with one that is created anew.
    """

    def __init__(
        self, array: pa.Array, field_type: FieldType, place: int, touched: dict[int, set[int]]
    ) -> None:
        self._array = array
        self._type = field_type
        self._place = place
        self._touched = touched
        self._lock = threading.Lock()
        self._leaves = leaves_of(field_type)
        self._objects: dict[int, Any] = {}
        self._given: dict[int, Leaves | None] = {}
        self._blocks: dict[int, Values] = {}
        self._fresh_blocks: dict[int, Values] = {}
        self._left = LeafColumns(field_type)
        self._unusual: dict[int, Any] = {}
        self._carried: CarriedColumn | None = None
        self._places: Sequence[int] = ()

    def __getitem__(self, row: int) -> Any:
        """Return the value at `row`, the same object each time."""
        value = self._objects.get(row, MISSING)
        if value is MISSING and row not in self._objects:
            carried = None if self._carried is None else self._carried.get(self._places[row])
            if carried is None:
                value = self._block(row, self._blocks)
                self._given[row] = self._leaves(value)
            else:
                value, self._given[row] = carried
            self._objects[row] = value
        self._touch(row)
        return value

    def __setitem__(self, row: int, value: Any) -> None:
        """Replace the value at `row`."""
        self.put(row, value)
        self._touch(row)

    def carry(self, carried: CarriedColumn | None, places: Sequence[int]) -> None:
        """Take values that steps before have left, and leave those of this one there."""
        self._carried, self._places = carried, places

    @property
    def changed(self) -> bool:
        """Return whether the step has changed a value."""
        return bool(len(self._left) or self._unusual)

    def put(self, row: int, value: Any) -> None:
        """Replace the value at `row` without noting that the step may change it in place."""
        self._objects[row] = value

    def forget(self, row: int) -> None:
        """Drop the object of `row`, because no step can read it any more."""
        self._objects.pop(row, None)
        self._given.pop(row, None)

    def settle(self, row: int) -> bool:
        """Copy the value at `row` if it differs from what is stored; return whether it does."""
        value = self._objects[row]
        left = self._leaves(value)
        kept = self._is_kept(row, value, left)
        if self._carried is not None:
            self._leave(self._carried, row, value, left)
        if kept:
            return False
        if left is None:
            self._unusual[row] = snapshot(value, self._type)
        else:
            self._left.append(row, left)
        return True

    def written(self) -> tuple[WrittenColumn, npt.NDArray[np.bool_]]:
        """Return the changed values, and a mask of their rows."""
        # Another thread may still be executing the step.
        unusual = dict(self._unusual)
        parts = [self._left.written()] if len(self._left) else []
        if unusual:
            written = write_values(list(unusual.values()), self._type)
            parts.append((np.array([*unusual], np.int64), written))
        rows = np.concatenate([rows for rows, _ in parts])
        places = np.full(len(self._array), -1)
        places[rows] = np.arange(len(rows))
        array = pa.concat_arrays([part.array for _, part in parts])
        if not np.array_equal(rows, np.arange(len(self._array))):
            array = array.take(pa.array(places, mask=places < 0))
        problems = {
            int(rows[at]): problem for rows, part in parts for at, problem in part.problems.items()
        }
        return WrittenColumn(array, problems), places >= 0

    def _leave(self, carried: CarriedColumn, row: int, value: Any, left: Leaves | None) -> None:
        """Leave a value for the next step, if nothing but this column refers to it."""
        carried.drop(self._places[row])
        block = self._blocks.get(row // _BLOCK_ROWS)
        if type(block) is list:
            # The step has its own value now, so this reference isn't needed any more.
            block[row % _BLOCK_ROWS] = None
        if left is not None and sys.getrefcount(value) == _ONLY_OURS:
            carried.keep(self._places[row], value, left)

    def _touch(self, row: int) -> None:
        touched = self._touched.get(row)
        if touched is None:
            touched = self._touched.setdefault(row, set())
        touched.add(self._place)

    def _is_kept(self, row: int, value: Any, left: Leaves | None) -> bool:
        if row not in self._given:
            # The step assigned a value without reading the stored one.
            self._given[row] = self._leaves(self._block(row, self._blocks))
        given = self._given[row]
        if left is None or given is None:
            return same(value, self._block(row, self._fresh_blocks), self._type)
        return given == left

    def _block(self, row: int, blocks: dict[int, Values]) -> Any:
        """Return the value at `row` of blocks of objects that are created when they are needed."""
        number = row // _BLOCK_ROWS
        block = blocks.get(number)
        if block is None:
            block = self._next_block(number, blocks)
        return block[row % _BLOCK_ROWS]

    def _next_block(self, number: int, blocks: dict[int, Values]) -> Values:
        with self._lock:
            if number not in blocks:
                for at in set(blocks) - {number - 1}:
                    del blocks[at]
                blocks[number] = self._read(number)
            return blocks[number]

    def _read(self, number: int) -> Values:
        block = self._array.slice(number * _BLOCK_ROWS, _BLOCK_ROWS)
        try:
            return read_values(block, self._type)
        except Exception:
            # A dataclass may reject a stored value. Only the runs with that value fail.
            return PartlyReadable(self._read_one(block.slice(at, 1)) for at in range(len(block)))

    def _read_one(self, value: pa.Array) -> Any:
        try:
            return read_values(value, self._type)[0]
        except Exception as error:
            return Unreadable(
                f"The object's class rejected the stored value with {type(error).__name__}."
            )


class _Unread:
    """The placeholder of a column until it is read."""

    def __init__(self, columns: RowColumns, place: int) -> None:
        self._columns = weakref.proxy(columns)
        self._place = place

    def __getitem__(self, row: int) -> Any:
        return self._columns.load(self._place)[row]


class _Unwritten:
    """The placeholder of a column until it is written."""

    def __init__(self, columns: RowColumns, place: int) -> None:
        self._columns = weakref.proxy(columns)
        self._place = place

    def __setitem__(self, row: int, value: Any) -> None:
        self._columns.open(self._place)[row] = value


def _is_kept(column: Any, row: int, value: Any) -> bool:
    try:
        stored = column[row]
    except LookupError:
        return value is MISSING
    return value is stored or (type(value) is type(stored) and bool(value == stored))


def _written_scalars(
    values: list[Any], field_type: FieldType
) -> tuple[WrittenColumn, npt.NDArray[np.bool_] | None]:
    if not isinstance(values, PartlyReadable):
        return write_values(values, field_type), None
    mask = np.fromiter((not isinstance(value, Unreadable) for value in values), dtype=np.bool_)
    known = [None if isinstance(value, Unreadable) else value for value in values]
    written = write_values(known, field_type)
    problems = {row: found for row, found in written.problems.items() if mask[row]}
    return WrittenColumn(written.array, problems), mask
