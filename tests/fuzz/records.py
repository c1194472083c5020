"""Objects with a field of each type, random ones of them, and their values in a form to compare."""

from __future__ import annotations

import datetime as dt
import enum
import math
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from decimal import Decimal
from typing import Annotated, Any, get_type_hints

import pyarrow as pa
from hypothesis import strategies as st

import batchflow as bf
from batchflow.definition.fields import FieldType, Kind
from kit.colours import Colour

LONGEST = dt.timedelta(microseconds=(2**63 - 1) // 1000)
KEPT = "the default"


@dataclass
class Part:
    name: str
    number: int | None = None
    share: float | None = None
    amount: Annotated[Decimal, bf.Precision(9, 3)] | None = None
    took: dt.timedelta | None = None
    raw: bytes | None = None
    colour: Colour | None = None
    tags: list[str] | None = None


@dataclass
class Record:
    flag: bool | None = None
    number: int | None = None
    share: float | None = None
    amount: Annotated[Decimal, bf.Precision(38, 9)] | None = None
    rate: Annotated[Decimal, bf.Precision(18, 18)] | None = None
    text: str | None = None
    raw: bytes | None = None
    day: dt.date | None = None
    at: dt.datetime | None = None
    at_utc: Annotated[dt.datetime, bf.UTC] | None = None
    took: dt.timedelta | None = None
    code: uuid.UUID | None = None
    colour: Colour | None = None
    part: Part | None = None
    tags: list[str | None] | None = None
    shares: list[float] | None = None
    grid: list[list[int]] | None = None
    durations: list[dt.timedelta | None] | None = None
    moments: list[Annotated[dt.datetime, bf.UTC]] | None = None
    notes: dict[str, Annotated[Decimal, bf.Precision(18, 2)] | None] | None = None
    parts: list[Part] | None = None
    deep: dict[str, list[Part | None]] | None = None
    kept: str = KEPT


class Stage(enum.Enum):
    NEW = "new"
    ROW = "after the row step"
    BATCH = "after the batch step"
    DONE = "done"


NAMES = tuple(each.name for each in fields(Record))


def records(names: Collection[str] = NAMES) -> bf.Workflow[Any, Stage]:
    """Return a workflow with these fields, which a row, a batch and a SQL step assign to itself."""
    hints = get_type_hints(Record, include_extras=True)
    chosen = [each for each in fields(Record) if each.name in names]
    some = make_dataclass(
        "SomeRecord",
        [(each.name, hints[each.name], field(default=each.default)) for each in chosen],
    )

    def assign_row(run: bf.Run[Any, Stage]) -> Stage:
        for name in names:
            setattr(run.object, name, getattr(run.object, name))
        return Stage.ROW

    def assign_batch(batch: bf.Batch[Any, Stage]) -> Stage:
        for name in names:
            batch[name] = batch[name]
        return Stage.BATCH

    workflow: bf.Workflow[Any, Stage] = bf.Workflow(
        "records", some, Stage, retry=bf.Retry(pause_after=1)
    )
    workflow.add_step(Stage.NEW, assign_row, Stage.ROW)
    workflow.add_step(Stage.ROW, assign_batch, Stage.BATCH, batch=True)
    same = {name: f'"{name}"' for name in names}
    workflow.sql_step(Stage.BATCH, to=[Stage.DONE], set=same, status=Stage.DONE)
    return workflow


TYPES: Mapping[str, FieldType] = {each.name: each.type for each in records().fields}

_TRICKY = (
    *("", " ", "NULL", "null", "None", "\\N", "nan", "NaN", "true", "0", "007", "1e5", "1.50"),
    *("a\r\nb", "a\rb", "\n", "\t", "\x00", "\x1b[0m", '"', '""', "'", "\\", "\\x41", "\\\\", ","),
    *(";", "#comment", "=1+1", "[1]", "[]", "{}", "{a=1}", '{"a": 1.50}', '"text"', "2020-01-01"),
    *(
        "\ufeff",
        "é",
        "\U0001d4b3\U0001f600",
        "a, b",
        "]",
        "__HIVE_DEFAULT_PARTITION__x",
        "a=b/c%20d",
        "12345678901234567890.5",
    ),
)
TEXTS = st.sampled_from(_TRICKY) | st.text(st.characters(codec="utf-8"), max_size=6)
_INTEGERS = st.sampled_from([-(2**63), 2**63 - 1, 2**53 + 1, 0]) | st.integers(-(2**63), 2**63 - 1)
_FLOATS = st.sampled_from([-0.0, 5e-324, 1e22, 0.1, math.nan, -math.inf]) | st.floats()
_DURATIONS = st.sampled_from([dt.timedelta.resolution, -dt.timedelta.resolution, LONGEST]) | (
    st.timedeltas(-LONGEST, LONGEST)
)


def _decimals(digits: int, scale: int) -> st.SearchStrategy[Decimal]:
    whole = st.integers(-(10**digits) + 1, 10**digits - 1)
    return whole.map(lambda number: Decimal(f"{number}e-{scale}"))


def _optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


_PARTS = st.builds(
    Part,
    TEXTS,
    _optional(_INTEGERS),
    _optional(_FLOATS),
    _optional(_decimals(9, 3)),
    _optional(_DURATIONS),
    _optional(st.binary(max_size=3)),
    _optional(st.sampled_from(Colour)),
    _optional(st.lists(TEXTS, max_size=2)),
)
_UTC_TIMES = st.datetimes(timezones=st.just(dt.UTC))
VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "flag": _optional(st.booleans()),
    "number": _optional(_INTEGERS),
    "share": _optional(_FLOATS),
    "amount": _optional(_decimals(38, 9)),
    "rate": _optional(_decimals(18, 18)),
    "text": _optional(TEXTS),
    "raw": _optional(st.binary(max_size=4) | st.just(b"\\x41")),
    "day": _optional(st.dates()),
    "at": _optional(st.datetimes()),
    "at_utc": _optional(_UTC_TIMES),
    "took": _optional(_DURATIONS),
    "code": _optional(st.uuids()),
    "colour": _optional(st.sampled_from(Colour)),
    "part": _optional(_PARTS),
    "tags": _optional(st.lists(_optional(TEXTS), max_size=3)),
    "shares": _optional(st.lists(_FLOATS, max_size=3)),
    "grid": _optional(st.lists(st.lists(_INTEGERS, max_size=2), max_size=2)),
    "durations": _optional(st.lists(_optional(_DURATIONS), max_size=2)),
    "moments": _optional(st.lists(_UTC_TIMES, max_size=2)),
    "notes": _optional(st.dictionaries(TEXTS, _optional(_decimals(18, 2)), max_size=2)),
    "parts": _optional(st.lists(_PARTS, max_size=2)),
    "deep": _optional(st.dictionaries(TEXTS, st.lists(_optional(_PARTS), max_size=2), max_size=2)),
    "kept": TEXTS,
}


def some_records(names: Collection[str], least: int = 0) -> st.SearchStrategy[list[Record]]:
    """Return lists of records with values in these fields."""
    chosen = {name: VALUES[name] for name in NAMES if name in names}
    return st.lists(st.builds(Record, **chosen), min_size=least, max_size=3)


def comparable(value: Any, field_type: FieldType) -> Any:
    """Return what is the same for equal values of a field, whatever library they come from."""
    if value is None:
        return None
    kind = field_type.kind
    if kind is Kind.LIST:
        return [comparable(each, field_type.child("item")) for each in value]
    if kind is Kind.MAP:
        value_type = field_type.child("value")
        return {key: comparable(each, value_type) for key, each in _pairs(value)}
    if kind is Kind.STRUCT:
        parts = value if isinstance(value, Mapping) else vars(value)
        return {name: comparable(parts[name], child) for name, child in field_type.children}
    return _SCALARS[kind](value)


def _pairs(value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return value.items()
    # Arrow has pairs, and Polars structs.
    return [tuple(each.values()) if isinstance(each, Mapping) else each for each in value]


def _duration(value: Any) -> int:
    if isinstance(value, pa.MonthDayNano):
        return (30 * value.months + value.days) * 86_400_000_000 + value.nanoseconds // 1000
    return value // dt.timedelta.resolution  # type: ignore[no-any-return]


_SCALARS = {
    Kind.BOOL: lambda value: ("bool", bool(value)),
    Kind.INT: lambda value: ("int", type(value) is not float and int(value)),
    Kind.FLOAT: lambda value: "nan" if math.isnan(value) else float(value).hex(),
    Kind.DECIMAL: lambda value: ("Decimal", type(value) is Decimal and value.normalize()),
    Kind.STR: lambda value: ("str", str(value)),
    Kind.BYTES: lambda value: ("bytes", bytes(value)),
    Kind.DATE: lambda value: value.isoformat(),
    Kind.DATETIME: lambda value: value.isoformat(),
    Kind.DATETIME_UTC: lambda value: value.astimezone(dt.UTC).isoformat(),
    Kind.TIMEDELTA: _duration,
    Kind.UUID: lambda value: ("UUID", uuid.UUID(str(value))),
    # Without the workflow's code, a client has an enum of its own.
    Kind.ENUM: lambda value: value if isinstance(value, str) else value.name,
}
