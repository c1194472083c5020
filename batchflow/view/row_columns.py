"""The object columns of a chunk, which row steps read and write by row and on demand.

`RowColumns.values` and `RowColumns.writes` have an entry for each field, indexed by row. An entry
is a placeholder until the first access replaces it by the column itself, so each later access is
two list look-ups and nothing else.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batchflow.columns.arrays import one_array
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

_BLOCK_ROWS = 256
_OBJECT_ITSELF = -1


class RowColumns:
    """The values of each run, and what the step changed.

    Attributes:
        values: The columns to read, by field: ``values[field][row]``.
        writes: The columns to assign to, by field.
        touched: By row, the nested fields that the step read and may have changed in place. The
            entry of a row is removed when it is settled.

    The columns and their placeholders don't keep each other alive: columns of thousands of values
    would otherwise stay until the garbage collector runs, which would visit each value.
    """

    def __init__(self, rows: pa.Table, fields: Sequence[Field]) -> None:
        self._rows = rows
        self._fields = fields
        self._lock = threading.Lock()
        self.touched: dict[int, set[int]] = {}
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
            Whether `touch_object` was called for the row.
        """
        places = self.touched.pop(row, set())
        for place in places - {_OBJECT_ITSELF}:
            self._settle_nested(place, row)
        return _OBJECT_ITSELF in places

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
            return NestedColumn(array, field.type, place, self.touched)
        values = read_values(array, field.type)
        if field.type.kind in MAY_BE_UNREADABLE and Unreadable in set(map(type, values)):
            return PartlyReadable(values)
        return values

    def _settle_nested(self, place: int, row: int) -> None:
        column = self.load(place)
        if isinstance(column, NestedColumn) and column.settle(row):
            self.writes[place] = column

    def _take_over_nested(self, place: int, row: int, left: object) -> None:
        value = getattr(left, self._fields[place].name, MISSING)
        if isinstance(self.load(place), NestedColumn):
            self.values[place].put(row, value)
            self._settle_nested(place, row)
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
    """A column of lists, dicts or dataclasses; a block of them is created on first access."""

    def __init__(
        self, array: pa.Array, field_type: FieldType, place: int, touched: dict[int, set[int]]
    ) -> None:
        self._array = array
        self._type = field_type
        self._place = place
        self._touched = touched
        self._lock = threading.Lock()
        self._objects: dict[int, Any] = {}
        self._blocks: dict[int, tuple[Values, Values]] = {}
        self.changed: dict[int, Any] = {}

    def __getitem__(self, row: int) -> Any:
        """Return the value at `row`, the same object each time."""
        if row not in self._objects:
            self.put(row, self._fresh(row))
        self._touched.setdefault(row, set()).add(self._place)
        return self._objects[row]

    def __setitem__(self, row: int, value: Any) -> None:
        """Replace the value at `row`."""
        self.put(row, value)
        self._touched.setdefault(row, set()).add(self._place)

    def put(self, row: int, value: Any) -> None:
        """Replace the value at `row` without noting that the step may change it in place."""
        self._objects[row] = value

    def settle(self, row: int) -> bool:
        """Copy the value at `row` if it differs from what is stored; return whether it does."""
        value = self._objects[row]
        if same(value, self._block(row)[1][row % _BLOCK_ROWS], self._type):
            return False
        self.changed[row] = snapshot(value, self._type)
        return True

    def written(self) -> tuple[WrittenColumn, npt.NDArray[np.bool_]]:
        """Return the changed values, and a mask of their rows."""
        rows = len(self._array)
        mask = np.zeros(rows, dtype=np.bool_)
        mask[list(self.changed)] = True
        changed = write_values([self.changed[row] for row in sorted(self.changed)], self._type)
        places = np.cumsum(mask) - 1
        taken = changed.array.take(pa.array(places, mask=~mask))
        changed_rows = np.flatnonzero(mask)
        problems = {int(changed_rows[at]): found for at, found in changed.problems.items()}
        return WrittenColumn(taken, problems), mask

    def _fresh(self, row: int) -> Any:
        return self._block(row)[0][row % _BLOCK_ROWS]

    def _block(self, row: int) -> tuple[Values, Values]:
        """Return the values of the block of `row` twice: for the step, and to compare with."""
        number = row // _BLOCK_ROWS
        with self._lock:
            if number not in self._blocks:
                self._blocks = {at: b for at, b in self._blocks.items() if at == number - 1}
                self._blocks[number] = (self._read(number), self._read(number))
            return self._blocks[number]

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
