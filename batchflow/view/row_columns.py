"""The object columns of a chunk, as row steps read and write them: on demand, by row.

`RowColumns.values` and `RowColumns.writes` have an entry for each field, indexed by row. They begin
as stand-ins, which the first access replaces by the column itself, so that the way of all later
accesses is two list look-ups and nothing else.
"""

from __future__ import annotations

import threading
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
from batchflow.columns.value_writing import GONE, WrittenColumn, write_values
from batchflow.definition.field_type import FieldType
from batchflow.definition.fields import Field

_BLOCK_ROWS = 256
_OBJECT_ITSELF = -1


class RowColumns:
    """Give each run its values, and collect what the step changed.

    Attributes:
        values: by field, what is read: ``values[field][row]``.
        writes: by field, what is assigned to.
        touched: by row, the nested fields that were handed out and may have been changed in place;
            a row's entry goes when it is settled.
        sealed: the same values, for reading alone: for the runs whose step is over.
    """

    def __init__(self, rows: pa.Table, fields: Sequence[Field]) -> None:
        self._rows = rows
        self._fields = fields
        self._lock = threading.Lock()
        self.touched: dict[int, set[int]] = {}
        self.values: list[Any] = [_Unread(self, place) for place in range(len(fields))]
        self.writes: list[Any] = [_Unwritten(self, place) for place in range(len(fields))]
        self.sealed = SealedColumns(self.values)

    @property
    def num_rows(self) -> int:
        """Count the runs."""
        return int(self._rows.num_rows)

    def load(self, place: int) -> Any:
        """Read a field's column, unless that was done, and return it."""
        with self._lock:
            if isinstance(self.values[place], _Unread):
                self.values[place] = self._column(place)
            return self.values[place]

    def open(self, place: int) -> Any:
        """Make a field's column one that is written, and return it."""
        self.writes[place] = self.load(place)
        return self.writes[place]

    def touch_object(self, row: int) -> None:
        """Note that the object at `row` has become one of its own, to be looked at as a whole."""
        self.touched.setdefault(row, set()).add(_OBJECT_ITSELF)

    def settle(self, row: int) -> bool:
        """Keep the present values of the nested fields that `row` touched.

        Returns:
            Whether `touch_object` was called for it.
        """
        places = self.touched.pop(row, set())
        for place in places - {_OBJECT_ITSELF}:
            self._settle_nested(place, row)
        return _OBJECT_ITSELF in places

    def take_over(self, row: int, left: object) -> None:
        """Keep all fields of the object that the step left on the run at `row`."""
        for place, field in enumerate(self._fields):
            if field.type.kind.nested:
                self._take_over_nested(place, row, left)
            elif not _is_kept(self.values[place], row, getattr(left, field.name, GONE)):
                self.writes[place][row] = getattr(left, field.name, GONE)
        self.touched.pop(row, None)

    def written(self) -> Iterator[tuple[Field, WrittenColumn, npt.NDArray[np.bool_] | None]]:
        """Yield each field that was written, its values, and where they count (None: at all)."""
        for field, column in zip(self._fields, self.writes, strict=True):
            if isinstance(column, NestedColumn) and column.changed:
                yield field, *column.written()
            elif isinstance(column, list):
                yield field, *_written_scalars(column, field.type)

    def _column(self, place: int) -> Any:
        field = self._fields[place]
        if field.name not in self._rows.column_names:
            unread = f"field {field.name!r} isn't among the step's columns; name it there"
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
        value = getattr(left, self._fields[place].name, GONE)
        if isinstance(self.load(place), NestedColumn):
            self.values[place].put(row, value)
            self._settle_nested(place, row)
        else:
            self.writes[place][row] = snapshot(value, self._fields[place].type)


class SealedError(Exception):
    """The step that the object was made for is over."""


class SealedColumns:
    """The columns as they are to objects whose step is over: nothing can be written any more."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    @property
    def writes(self) -> list[Any]:
        """Refuse.

        Raises:
            SealedError: always.
        """
        raise SealedError

    def touch_object(self, row: int) -> None:
        """Do nothing: what becomes of the object doesn't matter any more."""


class NestedColumn:
    """A column of lists, dicts or dataclasses, made by the block when a step touches them."""

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
        """Put another object in the place of the one at `row`."""
        self.put(row, value)
        self._touched.setdefault(row, set()).add(self._place)

    def put(self, row: int, value: Any) -> None:
        """Do as ``column[row] = value``, but without noting that the value may be changed."""
        self._objects[row] = value

    def settle(self, row: int) -> bool:
        """Copy the value at `row` if it isn't what is stored any more, and tell whether so."""
        value = self._objects[row]
        if same(value, self._block(row)[1][row % _BLOCK_ROWS], self._type):
            return False
        self.changed[row] = snapshot(value, self._type)
        return True

    def written(self) -> tuple[WrittenColumn, npt.NDArray[np.bool_]]:
        """Return the changed values, and where they are."""
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
        """Return the values of the block that `row` is in, twice: to hand out and to compare."""
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
            # A dataclass may refuse a stored value; only the runs that have it are to fail.
            return PartlyReadable(self._read_one(block.slice(at, 1)) for at in range(len(block)))

    def _read_one(self, value: pa.Array) -> Any:
        try:
            return read_values(value, self._type)[0]
        except Exception as error:
            return Unreadable(f"the stored value was refused: {type(error).__name__}")


class _Unread:
    """Stand in for a column until it is read."""

    def __init__(self, columns: RowColumns, place: int) -> None:
        self._columns = columns
        self._place = place

    def __getitem__(self, row: int) -> Any:
        return self._columns.load(self._place)[row]


class _Unwritten:
    """Stand in for a column until it is written."""

    def __init__(self, columns: RowColumns, place: int) -> None:
        self._columns = columns
        self._place = place

    def __setitem__(self, row: int, value: Any) -> None:
        self._columns.open(self._place)[row] = value


def _is_kept(column: Any, row: int, value: Any) -> bool:
    try:
        stored = column[row]
    except LookupError:
        return value is GONE
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
