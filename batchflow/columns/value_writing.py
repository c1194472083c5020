"""Convert Python values to Arrow columns, and find the values that don't fit.

Nothing is coerced silently: a value is stored as it is, or is a problem of its own run. A column
whose values all have exactly the field's type is converted at once. Only if that fails, the values
are checked one by one.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from batchflow.columns.class_names import class_name
from batchflow.columns.misfit import Misfit
from batchflow.columns.missing import is_missing
from batchflow.columns.own_attributes import extra_attribute
from batchflow.columns.size_limits import (
    ColumnTooLargeError,
    are_all,
    require_room,
    without_long_values,
)
from batchflow.columns.times import (
    has_odd_offset,
    in_range,
    to_datetime,
    to_timedelta,
    to_utc,
)
from batchflow.columns.wrong_keys import wrong_key
from batchflow.definition.field_type import UTC, FieldType, Kind

_Writer = Callable[[Sequence[Any], FieldType], "WrittenColumn"]


@dataclass(frozen=True, slots=True)
class WrittenColumn:
    """A column in its field's Arrow type, and a phrase for each value that doesn't fit, by row.

    The column's values at the rows of `problems` are meaningless.
    """

    array: pa.Array
    problems: dict[int, str] = field(default_factory=dict)


class StructSnapshot(tuple[Any, ...]):
    """A copy of the values of a nested dataclass's fields, in their order."""

    __slots__ = ()


class Missing:
    """The type of `MISSING`, the value of an attribute that the step deleted; it fits no field."""


MISSING = Missing()


class UnfitError(ValueError):
    """A value doesn't fit; the message is a phrase for what was found."""


def write_values(values: Sequence[Any], field_type: FieldType) -> WrittenColumn:
    """Convert `values` to a column of ``field_type.arrow``."""
    try:
        if _have_exact_types(values, field_type):
            return bounded(_writer(field_type)(values, field_type), field_type)
    except ColumnTooLargeError:
        if len(values) > 1:
            raise
    except MemoryError:
        raise
    except Exception:
        # Inspecting a value may raise anything. The values are checked one by one below.
        pass
    return _write_one_by_one(values, field_type)


def describe(value: Any) -> str:
    """Return a phrase for the value's type; the value itself may be confidential."""
    if value is None:
        return "None"
    if value is MISSING:
        return "no value"
    name = class_name(value)
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _have_exact_types(values: Sequence[Any], field_type: FieldType) -> bool:
    empty = _EMPTY.get(field_type.kind)
    if empty is not None:
        require_room(values, empty)
        if not field_type.nullable:
            return are_all(values, empty)
    return set(map(type, values)) <= exact_types(field_type)


def bounded(written: WrittenColumn, field_type: FieldType) -> WrittenColumn:
    """Return the written column without the values that are too long."""
    if field_type.kind not in _EMPTY:
        return written
    array, problems = without_long_values(written.array)
    return WrittenColumn(array, {**written.problems, **problems})


def _write_one_by_one(values: Sequence[Any], field_type: FieldType) -> WrittenColumn:
    # A loop over rows, because each is judged by itself. It runs only if a value is unusual.
    problems: dict[int, str] = {}
    fitting = [_fitted(row, value, field_type, problems) for row, value in enumerate(values)]
    written = bounded(_writer(field_type)(fitting, field_type), field_type)
    return WrittenColumn(written.array, {**written.problems, **problems})


def _fitted(row: int, value: Any, field_type: FieldType, problems: dict[int, str]) -> Any:
    try:
        return fit(value, field_type)
    except UnfitError as unfit:
        problems[row] = Misfit.of(str(unfit), value)
    except MemoryError:
        raise
    except Exception:
        problems[row] = f"{describe(value)} that can't be inspected"
    return None


def fit(value: Any, field_type: FieldType) -> Any:
    """Return `value` as the field's own Python type.

    Raises:
        UnfitError: The value has another type, or the column can't hold it.
    """
    if value is None or is_missing(value):
        if field_type.nullable:
            return None
        raise UnfitError(describe(value))
    converted = _converted(value, field_type)
    _require_time_zone(converted, field_type)
    try:
        bounded(_writer(field_type)([converted], field_type), field_type)
    except (UnfitError, MemoryError):
        raise
    except UnicodeEncodeError:
        raise UnfitError("a str with a lone surrogate, which UTF-8 can't encode") from None
    except Exception:
        raise UnfitError(f"{describe(value)} that {field_type.arrow} can't hold") from None
    return converted


def _converted(value: Any, field_type: FieldType) -> Any:
    accepted, excluded, convert = _ACCEPTED.get(field_type.kind, (field_type.python, (), None))
    if isinstance(value, StructSnapshot) and field_type.kind is Kind.STRUCT:
        return value
    # By its type, because an object may return anything as its ``__class__``.
    if not issubclass(type(value), accepted) or issubclass(type(value), excluded):
        raise UnfitError(_unlike(value, field_type))
    if convert is None:
        return value
    try:
        return convert(value)
    except (ValueError, OverflowError, TypeError):
        raise UnfitError(f"{describe(value)} that {field_type.arrow} can't hold") from None


def _unlike(value: Any, field_type: FieldType) -> str:
    """Return a phrase for a value of another type, with the key that is wrong in a mapping."""
    wrong = wrong_key(value, field_type) if type(value) is dict else None
    return f"{describe(value)} {wrong}" if wrong else describe(value)


def _require_time_zone(value: Any, field_type: FieldType) -> None:
    if field_type.kind is Kind.DATETIME and value.tzinfo is not None:
        raise UnfitError(
            "a datetime with a time zone instead of a naive one (annotate the field as "
            "Annotated[datetime, bf.UTC] to store points in time)"
        )
    if field_type.kind is Kind.DATETIME_UTC and value.utcoffset() is None:
        raise UnfitError("a naive datetime instead of one with a time zone")


def exact_types(field_type: FieldType) -> frozenset[type]:
    """Return the classes whose instances can be written without a look at each."""
    exact = _EXACT.get(field_type.kind, ())
    none = (type(None),) if field_type.nullable else ()
    return frozenset((field_type.python, *exact, *none))


def _writer(field_type: FieldType) -> _Writer:
    return _WRITERS.get(field_type.kind, _plain)


def _plain(values: Sequence[Any], field_type: FieldType) -> WrittenColumn:
    return WrittenColumn(pa.array(values, field_type.arrow))


def _naive(values: Sequence[Any], field_type: FieldType) -> WrittenColumn:
    if any(value is not None and value.tzinfo is not None for value in values):
        raise UnfitError("a datetime with a time zone")
    return _plain(values, field_type)


def _utc(values: Sequence[Any], field_type: FieldType) -> WrittenColumn:
    if any(at is not None and at.tzinfo is not UTC and has_odd_offset(at) for at in values):
        raise UnfitError("an odd time zone")
    return _in_range(values, field_type)


def _in_range(values: Sequence[Any], field_type: FieldType) -> WrittenColumn:
    array = pa.array(values, field_type.arrow)
    if not in_range(array.to_numpy(zero_copy_only=False)).all():
        raise OverflowError
    return WrittenColumn(array)


def _enums(values: Sequence[Any], field_type: FieldType) -> WrittenColumn:
    members = field_type.python.__members__
    names = [None if value is None else value._name_ for value in values]
    if not set(names) <= {None, *members}:
        raise UnfitError(f"no member of {field_type.python.__name__}")
    return WrittenColumn(pa.array(names, pa.string()))


def _structs(values: Sequence[Any], field_type: FieldType) -> WrittenColumn:
    parts, problems = [], {}
    missing = [value is None for value in values]
    for position, (name, child) in enumerate(field_type.children):
        column = [_part(value, position, name) for value in values]
        # A null struct has null parts, even if the parts' types aren't nullable.
        part = write_values(column, child.or_none() if any(missing) else child)
        parts.append(part.array)
        bad = {**part.problems, **_nulls_inside(column, missing, child)}
        problems.update({row: f"{found} as {name!r}" for row, found in bad.items()})
    problems.update(_with_extra_attributes(values, field_type))
    mask = pa.array(missing, pa.bool_())
    array = pa.StructArray.from_arrays(parts, fields=list(field_type.arrow), mask=mask)
    return WrittenColumn(array, problems)


def _with_extra_attributes(values: Sequence[Any], field_type: FieldType) -> dict[int, str]:
    names = [name for name, _ in field_type.children]
    extra = ((row, extra_attribute(value, names)) for row, value in enumerate(values))
    return {
        row: f"{describe(values[row])} with the extra attribute {name!r}"
        for row, name in extra
        if name is not None
    }


def _part(value: Any, position: int, name: str) -> Any:
    if isinstance(value, StructSnapshot):
        return value[position]
    return None if value is None else getattr(value, name, MISSING)


def _nulls_inside(column: list[Any], missing: list[bool], child: FieldType) -> dict[int, str]:
    if child.nullable or not any(missing):
        return {}
    rows = enumerate(zip(column, missing, strict=True))
    return {row: "None" for row, (part, absent) in rows if part is None and not absent}


def _lists(values: Sequence[Any], field_type: FieldType) -> WrittenColumn:
    items = [item for value in values if value is not None for item in value]
    written = write_values(items, field_type.child("item"))
    offsets, mask = _offsets(values)
    array = pa.ListArray.from_arrays(
        pa.array(offsets), written.array, type=field_type.arrow, mask=mask
    )
    return WrittenColumn(array, problems_of_parents(written.problems, offsets, "item"))


def _maps(values: Sequence[Any], field_type: FieldType) -> WrittenColumn:
    filled = [value for value in values if value is not None]
    keys = write_values([key for value in filled for key in value], field_type.child("key"))
    items = write_values(
        [item for value in filled for item in value.values()], field_type.child("value")
    )
    offsets, mask = _offsets(values)
    problems = problems_of_parents(items.problems, offsets, "value")
    problems.update(problems_of_parents(keys.problems, offsets, "key"))
    if keys.problems:
        # A map's keys can't be null, and these rows are meaningless anyway.
        kept = [None if row in problems else value for row, value in enumerate(values)]
        return WrittenColumn(_maps(kept, field_type).array, problems)
    array = pa.MapArray.from_arrays(
        pa.array(offsets), keys.array, items.array, type=field_type.arrow, mask=mask
    )
    return WrittenColumn(array, problems)


def _offsets(values: Sequence[Any]) -> tuple[np.ndarray[Any, np.dtype[np.int32]], pa.Array]:
    lengths = [0 if value is None else len(value) for value in values]
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))).astype(np.int32)
    return offsets, pa.array([value is None for value in values], pa.bool_())


def problems_of_parents(problems: dict[int, str], offsets: Any, part: str) -> dict[int, str]:
    """Return the problems of items as problems of the lists that have them."""
    parents = np.searchsorted(offsets, list(problems), side="right") - 1
    found: Iterable[tuple[int, str]] = zip(parents.tolist(), problems.values(), strict=True)
    return {row: f"{text} as {part}" for row, text in found}


def _to_float(value: Any) -> float:
    number = float(value)
    if isinstance(value, int | np.integer) and int(number) != value:
        raise OverflowError
    return number


def _to_text(value: str) -> str:
    # The members of an enum may be strings with another ``__str__``.
    return str.__str__(value)


_Accepted = tuple[Any, Any, Callable[[Any], Any] | None]

# By kind: the accepted classes, the excluded subclasses, and the conversion to a plain value.
_ACCEPTED: dict[Kind, _Accepted] = {
    Kind.BOOL: ((bool, np.bool_), (), bool),
    Kind.INT: ((int, np.integer), (bool, np.timedelta64), int),
    Kind.FLOAT: ((float, int, np.floating, np.integer), (bool, np.timedelta64), _to_float),
    Kind.DECIMAL: ((decimal.Decimal, int), bool, decimal.Decimal),
    Kind.STR: (str, (), _to_text),
    Kind.BYTES: ((bytes, bytearray, memoryview), (), bytes),
    Kind.DATE: (datetime.date, datetime.datetime, None),
    Kind.DATETIME: ((datetime.datetime, np.datetime64), (), to_datetime),
    Kind.DATETIME_UTC: (datetime.datetime, (), to_utc),
    Kind.TIMEDELTA: ((datetime.timedelta, np.timedelta64), (), to_timedelta),
    Kind.UUID: (uuid.UUID, (), None),
    # A subclass may override its length and items, so its actual contents are copied.
    Kind.LIST: (list, (), list.copy),
    Kind.MAP: (dict, (), dict.copy),
}
_EXACT: dict[Kind, tuple[type, ...]] = {
    Kind.FLOAT: (int, np.float64),
    Kind.STRUCT: (StructSnapshot,),
}
_EMPTY: dict[Kind, str | bytes] = {Kind.STR: "", Kind.BYTES: b""}
_WRITERS: dict[Kind, _Writer] = {
    Kind.DATETIME: _naive,
    Kind.DATETIME_UTC: _utc,
    Kind.TIMEDELTA: _in_range,
    Kind.ENUM: _enums,
    Kind.STRUCT: _structs,
    Kind.LIST: _lists,
    Kind.MAP: _maps,
}
