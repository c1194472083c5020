"""Find the nested values of a column that a batch step changed after reading them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batchflow.columns.arrays import AnyArray
from batchflow.columns.nested import same
from batchflow.columns.value_reading import read_values
from batchflow.columns.value_writing import WrittenColumn, write_values
from batchflow.definition.field_type import FieldType, Kind


def changed_in_place(
    values: AnyArray, stored: pa.Array, field_type: FieldType
) -> tuple[WrittenColumn, npt.NDArray[np.bool_]] | None:
    """Return the present values and a mask of those that differ from what is stored; None: none.

    Raises:
        InvalidObject: A dataclass has an attribute that isn't a field.
    """
    present = values.tolist()
    if _equal(present, stored, field_type) and not _have_other_attributes(present, field_type):
        return None
    written = write_values(present, field_type)
    # A dataclass may change its values when it is created, so a fresh one is compared.
    fresh = read_values(stored, field_type)
    changed = [not same(*pair, field_type) for pair in zip(values, fresh, strict=True)]
    mask = np.array(changed, np.bool_)
    return (written, mask) if mask.any() else None


def with_unfit(array: AnyArray, column: pa.Array, written: WrittenColumn) -> AnyArray:
    """Put the values that don't fit, which a read column lacks, into it again."""
    if written.problems:
        array = array.copy()
        for row in written.problems:
            array[row] = column[row].as_py()
        array.flags.writeable = False
    return array


def _equal(values: list[Any], stored: pa.Array, field_type: FieldType) -> bool:
    """Return whether Arrow, which compares a column much faster than Python, finds no change."""
    try:
        # Arrow converts lists of plain values by itself in half the time.
        if pa.array(values, field_type.arrow).equals(stored):
            return True
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        # It has no conversion for dataclasses and enums.
        pass
    written = write_values(values, field_type)
    return not written.problems and bool(written.array.equals(stored))


def _have_other_attributes(values: Iterable[Any], field_type: FieldType) -> bool:
    """Return whether a dataclass among the values has more attributes than fields."""
    match field_type.kind:
        case Kind.STRUCT:
            fields = len(field_type.children)
            known = [value for value in values if value is not None]
            return any(len(getattr(value, "__dict__", ())) > fields for value in known) or any(
                _have_other_attributes([getattr(value, name) for value in known], child)
                for name, child in field_type.children
                if child.kind.nested
            )
        case Kind.LIST if field_type.child("item").kind.nested:
            lists = (value for value in values if value is not None)
            return _have_other_attributes(chain.from_iterable(lists), field_type.child("item"))
        case Kind.MAP if field_type.child("value").kind.nested:
            maps = (value.values() for value in values if value is not None)
            return _have_other_attributes(chain.from_iterable(maps), field_type.child("value"))
    return False
