"""Take the leaves of nested values: the scalars that they are made of, column by column.

A row step may change a nested value at any time until it returns, and not afterwards. So what it
left is copied for each run. The leaves are the cheapest copy: lists of scalars, which can't change
themselves, and which become Arrow columns without a look at each value.

The columns of a LIST are the lists' lengths, and those of all items together; of a MAP likewise,
with those of the keys and of the values; of a STRUCT those of its fields. Before the columns of a
nested type that may be None is one that says which of its values aren't.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batchflow.columns.size_limits import ColumnTooLargeError
from batchflow.columns.value_writing import (
    WrittenColumn,
    exact_types,
    problems_of_parents,
    write_values,
)
from batchflow.definition.field_type import FieldType, Kind

Leaves: TypeAlias = tuple[list[Any], ...]

_CACHED_TYPES = 64


@functools.lru_cache(_CACHED_TYPES)
def leaves_of(field_type: FieldType) -> Callable[[Any], Leaves | None]:
    """Return the function that takes the leaves of a value of a nested type.

    It returns None for a value that isn't made of exactly the type's classes, such as an instance
    of a subclass or one with another attribute, and for a value that raises when it is read. So
    values with equal leaves are the same value.

    Its code is generated, because one that follows the type for each value takes ten times as long.
    """
    code = _Code()
    code.take(field_type, "value", " " * 8)
    columns = [f"column_{number}" for number in range(code.columns)]
    lines = [
        "def leaves(value):",
        *(f"    {column} = []" for column in columns),
        "    try:",
        *code.lines,
        "    except MemoryError:",
        "        raise",
        "    except Exception:",
        "        return None",
        f"    return {', '.join(columns)},",
    ]
    names: dict[str, Any] = {**code.classes, **code.exact}
    # Of what users write, the code contains only names of fields, which are identifiers.
    try:
        exec("\n".join(lines), names)
    except SyntaxError:
        # Python has a limit of twenty nested loops.
        return lambda _: None
    leaves: Callable[[Any], Leaves | None] = names["leaves"]
    return leaves


class _Code:
    """The lines that append the parts of a value to the columns of its type."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.classes: dict[str, type[Any]] = {}
        self.exact: dict[str, frozenset[type]] = {}
        self.columns = 0
        self._variables = 0

    def take(self, field_type: FieldType, value: str, indent: str) -> None:
        """Add the lines for the value that is in a variable."""
        if not field_type.kind.nested:
            self._require(indent, f"type({value}) in {self._exact_types(field_type)}")
            self._add(indent, f"{self._column()}.append({value})")
            return
        if field_type.nullable:
            self._add(indent, f"{self._column()}.append({value} is not None)")
            self._add(indent, f"if {value} is not None:")
            indent += "    "
        takes = {Kind.STRUCT: self._struct, Kind.LIST: self._list, Kind.MAP: self._map}
        takes[field_type.kind](field_type, value, indent)

    def _struct(self, field_type: FieldType, value: str, indent: str) -> None:
        python = f"class_{len(self.classes)}"
        self.classes[python] = field_type.python
        self._require(indent, f"type({value}) is {python}")
        if field_type.python.__dictoffset__:
            # An object without other attributes has at most as many as there are fields.
            self._require(indent, f"len({value}.__dict__) <= {len(field_type.children)}")
        for name, child in field_type.children:
            part = self._variable()
            self._add(indent, f"{part} = {value}.{name}")
            self.take(child, part, indent)

    def _list(self, field_type: FieldType, value: str, indent: str) -> None:
        self._require(indent, f"type({value}) is list")
        items = self._variable()
        # Another thread may change the list meanwhile.
        self._add(indent, f"{items} = [*{value}]")
        self._add(indent, f"{self._column()}.append(len({items}))")
        self._items(field_type.child("item"), items, indent)

    def _map(self, field_type: FieldType, value: str, indent: str) -> None:
        self._require(indent, f"type({value}) is dict")
        keys, items = self._variable(), self._variable()
        self._add(indent, f"{keys} = [*{value}]")
        self._add(indent, f"{items} = [*{value}.values()]")
        self._require(indent, f"len({keys}) == len({items})")
        self._add(indent, f"{self._column()}.append(len({items}))")
        self._items(field_type.child("key"), keys, indent)
        self._items(field_type.child("value"), items, indent)

    def _items(self, field_type: FieldType, items: str, indent: str) -> None:
        if not field_type.kind.nested:
            exact = self._exact_types(field_type)
            self._require(indent, f"{exact}.issuperset(map(type, {items}))")
            self._add(indent, f"{self._column()}.extend({items})")
            return
        item = self._variable()
        self._add(indent, f"for {item} in {items}:")
        self.take(field_type, item, indent + "    ")

    def _exact_types(self, field_type: FieldType) -> str:
        name = f"exact_{len(self.exact)}"
        self.exact[name] = exact_types(field_type)
        return name

    def _require(self, indent: str, condition: str) -> None:
        self._add(indent, f"if not {condition}:")
        self._add(indent, "    return None")

    def _add(self, indent: str, line: str) -> None:
        self.lines.append(indent + line)

    def _column(self) -> str:
        self.columns += 1
        return f"column_{self.columns - 1}"

    def _variable(self) -> str:
        self._variables += 1
        return f"value_{self._variables}"


class LeafColumns:
    """The leaves of many values of a type, one after the other.

    They are appended to a few long lists. With lists for each value, the garbage collector would
    visit all of them again and again.
    """

    def __init__(self, field_type: FieldType) -> None:
        self._type = field_type
        self._lock = threading.Lock()
        self._rows: list[int] = []
        self._columns: Leaves = ()

    def append(self, row: int, leaves: Leaves) -> None:
        """Append the leaves of the value that a run was left with."""
        with self._lock:
            columns = self._columns = self._columns or tuple([] for _ in leaves)
            lengths = list(map(len, columns))
            try:
                for column, more in zip(columns, leaves, strict=True):
                    column.extend(more)
                self._rows.append(row)
            except BaseException:
                # The run fails, maybe for lack of memory. The leaves of the others have to fit.
                for column, length in zip(columns, lengths, strict=True):
                    del column[length:]
                raise

    def __len__(self) -> int:
        """Return the number of values."""
        return len(self._rows)

    def written(self) -> tuple[npt.NDArray[np.int64], WrittenColumn]:
        """Return the rows of the values, and these as a column of the type's Arrow type.

        Raises:
            ColumnTooLargeError: The values are too large together.
        """
        with self._lock:
            # Another thread may still be executing the step.
            rows = np.array(self._rows, np.int64)
            columns = [column.copy() for column in self._columns]
        try:
            return rows, _written(self._type, iter(columns))
        except ColumnTooLargeError:
            if len(rows) > 1:
                raise
            too_large = f"a value that {self._type.arrow} can't hold"
            return rows, WrittenColumn(pa.nulls(1, self._type.arrow), {0: too_large})


def _written(field_type: FieldType, columns: Iterator[list[Any]]) -> WrittenColumn:
    """Convert the next of the columns to a column of a type."""
    if not field_type.kind.nested:
        return write_values(next(columns), field_type)
    if not field_type.nullable:
        return _WRITERS[field_type.kind](field_type, columns)
    present = np.array(next(columns), np.bool_)
    return _with_nulls(_WRITERS[field_type.kind](field_type, columns), present)


def _with_nulls(written: WrittenColumn, present: npt.NDArray[np.bool_]) -> WrittenColumn:
    if present.all():
        return written
    rows = np.flatnonzero(present)
    places = pa.array(np.cumsum(present) - 1, mask=~present)
    problems = {int(rows[at]): found for at, found in written.problems.items()}
    return WrittenColumn(written.array.take(places), problems)


def _written_structs(field_type: FieldType, columns: Iterator[list[Any]]) -> WrittenColumn:
    parts, problems = [], {}
    for name, child in field_type.children:
        part = _written(child, columns)
        parts.append(part.array)
        problems.update({row: f"{found} as {name!r}" for row, found in part.problems.items()})
    array = pa.StructArray.from_arrays(parts, fields=list(field_type.arrow))
    return WrittenColumn(array, problems)


def _written_lists(field_type: FieldType, columns: Iterator[list[Any]]) -> WrittenColumn:
    offsets = _offsets(next(columns))
    items = _written(field_type.child("item"), columns)
    array = pa.ListArray.from_arrays(pa.array(offsets), items.array, type=field_type.arrow)
    return WrittenColumn(array, problems_of_parents(items.problems, offsets, "item"))


def _written_maps(field_type: FieldType, columns: Iterator[list[Any]]) -> WrittenColumn:
    offsets = _offsets(next(columns))
    keys = write_values(next(columns), field_type.child("key"))
    items = _written(field_type.child("value"), columns)
    problems = problems_of_parents(items.problems, offsets, "value")
    problems.update(problems_of_parents(keys.problems, offsets, "key"))
    # A map's keys can't be null, and the rows of unfit keys are meaningless anyway.
    known = keys.array.fill_null("") if keys.problems else keys.array
    array = pa.MapArray.from_arrays(pa.array(offsets), known, items.array, type=field_type.arrow)
    return WrittenColumn(array, problems)


def _offsets(lengths: list[int]) -> npt.NDArray[np.int32]:
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))).astype(np.int32)


_WRITERS: dict[Kind, Callable[[FieldType, Iterator[list[Any]]], WrittenColumn]] = {
    Kind.STRUCT: _written_structs,
    Kind.LIST: _written_lists,
    Kind.MAP: _written_maps,
}
