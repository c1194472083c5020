"""Values of every type are read as they were written, or are reported as unfit."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchflow.columns.array_reading import read_array
from batchflow.columns.value_reading import PartlyReadable, Unreadable, read_values
from batchflow.columns.value_writing import write_values
from batchflow.definition import UTC, FieldType, Precision, fields_of
from kit.colours import Colour
from kit.effort import examples


class Size(enum.IntEnum):
    SMALL = 1


@dataclass
class Line:
    sku: str
    colour: Colour | None
    due: datetime.date


@dataclass
class Everything:
    flag: bool
    count: int
    price: float
    amount: Annotated[decimal.Decimal, Precision(18, 2)]
    name: str
    raw: bytes
    day: datetime.date
    at: datetime.datetime
    at_utc: Annotated[datetime.datetime, UTC]
    took: datetime.timedelta
    key: uuid.UUID
    colour: Colour
    line: Line
    lines: list[Line]
    notes: dict[str, list[int]]


TYPES: dict[str, FieldType] = {field.name: field.type for field in fields_of(Everything)}
NAIVE = st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31))  # noqa: DTZ001
LINES = st.builds(Line, sku=st.text(), colour=st.none() | st.sampled_from(Colour), due=st.dates())
INTS = st.integers(-(2**63), 2**63 - 1)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "flag": st.booleans(),
    "count": INTS,
    "price": st.floats(allow_nan=False),
    "amount": st.decimals(-(10**15), 10**15, places=2),
    "name": st.text(),
    "raw": st.binary(),
    "day": st.dates(),
    "at": NAIVE,
    "at_utc": NAIVE.map(lambda at: at.replace(tzinfo=datetime.UTC)),
    "took": st.timedeltas(datetime.timedelta(days=-(10**5)), datetime.timedelta(days=10**5)),
    "key": st.uuids(),
    "colour": st.sampled_from(Colour),
    "line": LINES,
    "lines": st.lists(LINES, max_size=3),
    "notes": st.dictionaries(st.text(), st.lists(INTS, max_size=3), max_size=3),
}


@st.composite
def columns(draw: st.DrawFn) -> tuple[FieldType, list[Any], int, int]:
    name = draw(st.sampled_from(list(TYPES)))
    nullable = draw(st.booleans())
    one = VALUES[name] | st.none() if nullable else VALUES[name]
    values = draw(st.lists(one, max_size=8))
    start = draw(st.integers(0, len(values)))
    stop = draw(st.integers(start, len(values)))
    field_type = TYPES[name].or_none() if nullable else TYPES[name]
    return field_type, values, start, stop


@examples(60)
@given(columns())
def test_any_part_of_a_column_is_read_as_it_was_written(
    column: tuple[FieldType, list[Any], int, int],
) -> None:
    field_type, values, start, stop = column
    written = write_values(values, field_type)
    assert not written.problems
    assert written.array.type == field_type.arrow
    part = written.array.slice(start, stop - start)
    assert read_values(part, field_type) == values[start:stop]


@examples(60)
@given(columns())
def test_a_batch_reads_the_same_values_as_a_row_step(
    column: tuple[FieldType, list[Any], int, int],
) -> None:
    field_type, values, start, stop = column
    part = write_values(values, field_type).array.slice(start, stop - start)
    array = read_array(part, field_type)
    assert array.shape == (stop - start,)
    assert not array.flags.writeable
    if array.dtype.kind in "mM":
        nat = [None if np.isnat(value) else value.item() for value in array]
        expected = [
            value.replace(tzinfo=None) if isinstance(value, datetime.datetime) else value
            for value in values[start:stop]
        ]
        assert nat == expected
    else:
        assert array.tolist() == values[start:stop]


def test_the_dtype_of_a_nullable_number_does_not_depend_on_the_nulls_in_the_chunk() -> None:
    nullable = TYPES["count"].or_none()
    with_null = read_array(pa.array([1, None]), nullable)
    without = read_array(pa.array([1, 2]), nullable)
    assert with_null.dtype == without.dtype == object


def test_enums_come_from_the_store_as_dictionaries() -> None:
    sent = pa.array(["GREEN", None, "RED", "GREEN"]).dictionary_encode()
    members = [Colour.GREEN, None, Colour.RED, Colour.GREEN]
    assert read_values(sent, TYPES["colour"].or_none()) == members
    assert read_array(sent, TYPES["colour"].or_none()).tolist() == members


def test_intervals_come_from_the_store_as_months_days_and_nanoseconds() -> None:
    sent = pa.array([(1, 2, 3_000), None, (0, 0, -1_000)], pa.month_day_nano_interval())
    took = [datetime.timedelta(days=32, microseconds=3), None, datetime.timedelta(microseconds=-1)]
    assert read_values(sent, TYPES["took"].or_none()) == took
    assert read_values(sent[2:], TYPES["took"]) == took[2:]


def test_a_time_out_of_range_fails_only_when_it_is_read() -> None:
    far = np.array([0, 2**61], dtype="datetime64[us]")
    for name in ("at", "at_utc"):
        values = read_values(pa.array(far).cast(TYPES[name].arrow), TYPES[name])
        assert values[0].year == 1970
        assert isinstance(values[1], Unreadable)
        with pytest.raises(LookupError, match="outside the years 1 to 9999"):
            PartlyReadable(values)[1]


AWARE = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
NAIVELY = datetime.datetime(2020, 1, 1)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("flag", 1, "an int"),
        ("flag", "yes", "a str"),
        ("count", 1.5, "a float"),
        ("count", 1.0, "a float"),
        ("count", True, "a bool"),
        ("count", np.True_, "a bool"),
        ("count", "1", "a str"),
        ("count", 2**63, "an int that int64 can't hold"),
        ("price", "x", "a str"),
        ("price", True, "a bool"),
        ("price", 2**53 + 1, "an int that double can't hold"),
        ("price", 10**400, "an int that double can't hold"),
        ("amount", 1.5, "a float"),
        ("amount", decimal.Decimal("1.005"), "a Decimal that"),
        ("amount", decimal.Decimal("NaN"), "a Decimal that"),
        ("name", b"x", "a bytes"),
        ("name", "\ud800", "a str with a lone surrogate"),
        ("name", 5, "an int"),
        ("raw", "x", "a str"),
        ("day", NAIVELY, "a datetime"),
        ("at", AWARE, "a datetime with a time zone"),
        ("at", NAIVELY.date(), "a date"),
        ("at_utc", NAIVELY, "a naive datetime"),
        ("took", 5, "an int"),
        ("took", datetime.timedelta.max, "a timedelta that"),
        ("key", "1234", "a str"),
        ("colour", "RED", "a str"),
        ("colour", Size.SMALL, "a Size"),
        ("line", {"sku": "x"}, "a dict"),
        ("line", Line(5, None, NAIVELY.date()), "an int as 'sku'"),  # type: ignore[arg-type]
        ("line", Line("x", None, None), "None as 'due'"),  # type: ignore[arg-type]
        ("lines", ("x",), "a tuple"),
        ("lines", [None], "None as item"),
        ("lines", [Line("x", None, "today")], "a str as 'due' as item"),  # type: ignore[arg-type]
        ("notes", {5: []}, "an int as key"),
        ("notes", {"a": [1, None]}, "None as item as value"),
    ],
)
@pytest.mark.parametrize("nullable", [False, True])
def test_a_value_that_does_not_fit_is_a_problem_of_its_row_only(
    name: str, value: Any, found: str, nullable: bool
) -> None:
    field_type = TYPES[name].or_none() if nullable else TYPES[name]
    fine = make_fine_value(name)
    written = write_values([fine, value, fine], field_type)
    assert list(written.problems) == [1]
    assert written.problems[1].startswith(found)
    assert read_values(written.array[:1], field_type) == [fine]
    assert read_values(written.array[2:], field_type) == [fine]


@pytest.mark.parametrize("name", TYPES)
def test_none_fits_only_a_field_that_may_be_none(name: str) -> None:
    values = [make_fine_value(name), None]
    assert write_values(values, TYPES[name]).problems == {1: "None"}
    assert not write_values(values, TYPES[name].or_none()).problems


def make_fine_value(name: str) -> Any:
    day = datetime.date(2020, 1, 1)
    line = Line("x", Colour.RED, day)
    return {
        "flag": True,
        "count": 2**60 + 1,
        "price": 0.5,
        "amount": decimal.Decimal("1.50"),
        "name": "é",
        "raw": b"\0",
        "day": day,
        "at": NAIVELY,
        "at_utc": AWARE,
        "took": datetime.timedelta(1),
        "key": uuid.UUID(int=1),
        "colour": Colour.GREEN,
        "line": line,
        "lines": [line, line],
        "notes": {"a": [1], "b": []},
    }[name]


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("flag", np.True_, True),
        ("count", np.int16(5), 5),
        ("count", Size.SMALL, 1),
        ("price", 3, 3.0),
        ("price", np.float32(0.5), 0.5),
        ("amount", 3, decimal.Decimal("3.00")),
        ("amount", decimal.Decimal("1.500"), decimal.Decimal("1.50")),
        ("name", np.str_("x"), "x"),
        ("raw", bytearray(b"x"), b"x"),
        ("at", np.datetime64("2020-01-01T00:00:01", "s"), NAIVELY.replace(second=1)),
        (
            "at_utc",
            AWARE.astimezone(datetime.timezone(datetime.timedelta(hours=5))),
            AWARE,
        ),
        ("took", np.timedelta64(1, "ms"), datetime.timedelta(milliseconds=1)),
    ],
)
def test_a_value_of_a_related_type_is_stored_exactly(name: str, value: Any, stored: Any) -> None:
    written = write_values([value], TYPES[name])
    assert not written.problems
    assert read_values(written.array, TYPES[name]) == [stored]
