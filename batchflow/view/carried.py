"""Nested values that go from one step of a visit to the next as they are.

Otherwise each step would create them anew from Arrow, which is a third of the time of a loop that
consumes a list. A value is carried only where that makes no difference: it would be read as it is
now, and nothing else refers to it or to its parts, so no code changes it between the steps.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from batchflow.columns.leaves import Leaves
from batchflow.definition.built_whole import is_built_whole
from batchflow.definition.field_type import FieldType, Kind
from batchflow.definition.fields import Field

# They are read as they were stored, except that a float may be an int when a step leaves it.
_SAME_AFTER_STORING: Final = frozenset({Kind.BOOL, Kind.INT, Kind.FLOAT, Kind.STR})
_FLOATS: Final = frozenset({float, type(None)})
# What is carried stays in memory, and the garbage collector visits it.
_MOST_LEAVES: Final = 100_000
_CACHED_TYPES: Final = 64
# The references to an item while `sys.getrefcount` is mapped over the list that has it.
_ONLY_OF_ITS_LIST: Final = max(map(sys.getrefcount, [object()]))


class Carried:
    """The nested values that the steps of a visit left, by field."""

    def __init__(self) -> None:
        self._columns: dict[str, CarriedColumn] = {}

    def column(self, field: Field) -> CarriedColumn | None:
        """Return the values of a field; None if those of its type are never carried."""
        column = self._columns.get(field.name)
        if column is None and (shape := _shape_of(field.type)) is not None:
            column = self._columns[field.name] = CarriedColumn(shape)
        return column

    def forget(self, names: Iterable[str]) -> None:
        """Drop the values of fields that a batch step has changed."""
        for name in names:
            self._columns.pop(name, None)


class CarriedColumn:
    """The values of a field that steps left, by the places of their runs in the chunk."""

    def __init__(self, shape: _CarriedShape) -> None:
        self._shape = shape
        self._values: dict[int, tuple[Any, Leaves]] = {}
        self._size = 0

    def get(self, place: int) -> tuple[Any, Leaves] | None:
        """Return the value that the run at a place was left with, and its leaves."""
        return self._values.get(place)

    def drop(self, place: int) -> None:
        """Drop the value of a run, because a step may have changed it."""
        known = self._values.pop(place, None)
        if known is not None:
            self._size -= _size(known[1])

    def keep(self, place: int, value: Any, leaves: Leaves) -> None:
        """Keep the value of a run, to which nothing else refers, if that is true of its parts."""
        size = _size(leaves)
        if self._size + size > _MOST_LEAVES or not self._shape.may_be_carried(value, leaves):
            return
        self._values[place] = value, leaves
        self._size += size


@dataclass(frozen=True)
class _CarriedShape:
    """The shape of a nested type whose values may be carried.

    Attributes:
        parts: Returns the parts of a value that a step may change in place.
        floats: Which of its leaves are columns of floats.
    """

    parts: Callable[[Any], Iterable[Any]]
    floats: tuple[int, ...]

    def may_be_carried(self, value: Any, leaves: Leaves) -> bool:
        """Return whether nothing refers to the parts of a value, and all floats are floats."""
        if max(map(sys.getrefcount, self.parts(value)), default=0) > _ONLY_OF_ITS_LIST:
            return False
        return all(_FLOATS.issuperset(map(type, leaves[at])) for at in self.floats)


@functools.lru_cache(_CACHED_TYPES)
def _shape_of(field_type: FieldType) -> _CarriedShape | None:
    kinds = list(_leaf_kinds(field_type))
    parts = _parts_of(field_type)
    if parts is None or not {kind for kind in kinds if kind} <= _SAME_AFTER_STORING:
        return None
    return _CarriedShape(parts, tuple(at for at, kind in enumerate(kinds) if kind is Kind.FLOAT))


def _parts_of(field_type: FieldType) -> Callable[[Any], Iterable[Any]] | None:
    """Return the function for the parts of a value; None if they have such parts themselves."""
    if _is_flat(field_type):
        return lambda _: ()
    item = {Kind.LIST: "item", Kind.MAP: "value"}.get(field_type.kind)
    if item is None or not _is_flat(field_type.child(item)):
        return None
    if not field_type.child(item).kind.nested:
        return lambda _: ()
    return dict.values if field_type.kind is Kind.MAP else lambda value: value


def _is_flat(field_type: FieldType) -> bool:
    """Return whether values are scalars, or of a class that only has scalars and does nothing."""
    if field_type.kind is not Kind.STRUCT:
        return not field_type.kind.nested
    nested = any(child.kind.nested for _, child in field_type.children)
    return not nested and not is_built_whole(field_type.python)


def _leaf_kinds(field_type: FieldType) -> Iterator[Kind | None]:
    """Yield the kind of each column of the leaves; None for counts of items, and for presence."""
    if not field_type.kind.nested:
        yield field_type.kind
        return
    if field_type.nullable:
        yield None
    if field_type.kind is not Kind.STRUCT:
        yield None
    for _, child in field_type.children:
        yield from _leaf_kinds(child)


def _size(leaves: Leaves) -> int:
    return sum(map(len, leaves))
