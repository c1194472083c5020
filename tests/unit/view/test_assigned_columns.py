"""The values that a batch step may assign to a column, and those that don't fit."""

from __future__ import annotations

import datetime
import decimal
import types
import uuid
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from batchflow.columns.array_writing import as_column, write_column
from batchflow.columns.row_order import ColumnShapeError, UnorderedColumnError, WrongLengthError
from batchflow.columns.value_reading import read_values
from batchflow.definition import UTC, FieldType, Precision, fields_of
from kit.colours import Colour


@dataclass
class Part:
    sku: str
    colour: Colour


@dataclass
class Thing:
    flag: bool
    count: int
    maybe_count: int | None
    price: float
    maybe_price: float | None
    amount: Annotated[decimal.Decimal, Precision(9, 2)]
    name: str
    maybe_name: str | None
    raw: bytes
    day: datetime.date
    at: datetime.datetime
    maybe_at: datetime.datetime | None
    at_utc: Annotated[datetime.datetime, UTC]
    took: datetime.timedelta
    key: uuid.UUID
    keys: list[uuid.UUID]
    colour: Colour
    part: Part
    tags: list[str]
    notes: dict[str, int]


TYPES: dict[str, FieldType] = {field.name: field.type for field in fields_of(Thing)}
KEYS = [uuid.UUID(int=5), uuid.UUID(int=2**127)]
MOMENT = datetime.datetime(2020, 1, 2, 3, 4, 5)  # noqa: DTZ001
PARTS = [Part("x", Colour.RED), Part("y", Colour.GREEN)]
PLAIN_PARTS = [{"sku": "x", "colour": "RED"}, {"sku": "y", "colour": "GREEN"}]
TIMES = np.array(["2020-01-02T03:04:05"] * 2, "datetime64[ns]")


def stored(name: str, values: Any, rows: int = 2) -> tuple[list[Any], dict[int, str]]:
    written = write_column(as_column(values, rows, TYPES[name]), TYPES[name])
    assert written.array.type == TYPES[name].arrow
    assert len(written.array) == rows
    return read_values(written.array, TYPES[name]), written.problems


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("flag", np.array([True, False]), [True, False]),
        ("flag", True, [True, True]),
        ("count", np.array([1, 2], np.int8), [1, 2]),
        ("count", np.array([1, 2], np.uint64), [1, 2]),
        ("count", np.array([1.0, -2.0]), [1, -2]),
        ("count", pa.array([1, 2], pa.int16()), [1, 2]),
        ("count", pa.chunked_array([[1], [2]]), [1, 2]),
        ("count", pa.scalar(7), [7, 7]),
        ("count", pd.Series([1, 2]), [1, 2]),
        ("count", pl.Series([1, 2]), [1, 2]),
        ("maybe_count", np.ma.MaskedArray([1, 2], [False, True]), [1, None]),
        ("maybe_count", pd.Series([1, None], dtype="Int64"), [1, None]),
        ("maybe_count", pl.Series([1, None]), [1, None]),
        ("maybe_count", np.array([1, None], object), [1, None]),
        ("maybe_count", None, [None, None]),
        ("maybe_count", pd.Series([1, None]), [1, None]),
        ("maybe_count", np.array([1.0, np.nan]), [1, None]),
        ("maybe_count", pa.array([1.0, None]), [1, None]),
        ("maybe_count", pl.Series([1.0, None]), [1, None]),
        ("maybe_count", [1, pd.NA], [1, None]),
        ("maybe_count", pd.NA, [None, None]),
        ("maybe_name", pd.Series(["a", np.nan], dtype=object), ["a", None]),
        ("maybe_name", np.array(["a", np.nan], object), ["a", None]),
        ("maybe_at", pd.Series([pd.Timestamp(MOMENT), pd.NaT], dtype=object), [MOMENT, None]),
        ("maybe_at", [MOMENT, np.datetime64("NaT")], [MOMENT, None]),
        ("maybe_at", pd.NaT, [None, None]),
        ("maybe_price", pd.Series([0.5, None]), [0.5, None]),
        ("maybe_price", pd.Series([0.5, None], dtype=object), [0.5, None]),
        ("colour", pd.Series(list(Colour)).astype("category"), list(Colour)),
        ("key", pl.Series(KEYS, dtype=pl.Object), KEYS),
        ("count", pd.Series([2, 1], index=[1, 0]), [1, 2]),
        ("count", pd.Series([2, 1], index=pd.Index([1, 0], dtype=object)), [1, 2]),
        ("part", pd.DataFrame(PLAIN_PARTS[::-1], index=[1, 0]), PARTS),
        ("price", np.array([1, 2]), [1.0, 2.0]),
        ("price", np.array([0.5, 2], np.float32), [0.5, 2.0]),
        ("price", pa.array([1, 2]), [1.0, 2.0]),
        ("price", np.array(5), [5.0, 5.0]),
        ("amount", [decimal.Decimal("1.5"), 2], [decimal.Decimal("1.50"), decimal.Decimal(2)]),
        ("amount", pa.array([decimal.Decimal("1.5")] * 2), [decimal.Decimal("1.50")] * 2),
        ("name", np.array(["a", "b"]), ["a", "b"]),
        ("name", np.array(["a", "b"], object), ["a", "b"]),
        ("name", np.array(["a", "b"], np.dtypes.StringDType()), ["a", "b"]),
        ("name", pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        ("name", pl.Series(["a", "b"]), ["a", "b"]),
        ("name", pl.Series(["a", "b"], dtype=pl.Categorical), ["a", "b"]),
        ("name", pd.Series(["a", "b"]), ["a", "b"]),
        ("name", "same", ["same", "same"]),
        ("maybe_name", np.where([True, False], "a", None), ["a", None]),
        ("raw", [b"a\0", b"b"], [b"a\0", b"b"]),
        ("raw", b"a", [b"a", b"a"]),
        ("day", np.array(["2020-01-01"] * 2, "datetime64[D]"), [datetime.date(2020, 1, 1)] * 2),
        ("at", TIMES, [MOMENT] * 2),
        ("at", pa.array(TIMES), [MOMENT] * 2),
        ("at", MOMENT, [MOMENT] * 2),
        ("at", np.datetime64(MOMENT), [MOMENT] * 2),
        ("maybe_at", np.array([MOMENT, "NaT"], "datetime64[us]"), [MOMENT, None]),
        ("at_utc", TIMES, [MOMENT.replace(tzinfo=datetime.UTC)] * 2),
        (
            "at_utc",
            pd.Series(TIMES).dt.tz_localize("UTC"),
            [MOMENT.replace(tzinfo=datetime.UTC)] * 2,
        ),
        (
            "took",
            np.array([1, 2], "timedelta64[s]"),
            [datetime.timedelta(seconds=n) for n in (1, 2)],
        ),
        ("key", uuid.UUID(int=5), [uuid.UUID(int=5)] * 2),
        ("key", pa.array([KEYS[0].bytes, KEYS[1].bytes], pa.binary(16)), KEYS),
        ("key", pl.Series([key.bytes for key in KEYS]), KEYS),
        ("keys", pl.Series([[KEYS[0].bytes], []]), [[KEYS[0]], []]),
        ("colour", Colour.RED, [Colour.RED, Colour.RED]),
        ("colour", pd.Series(list(Colour)), list(Colour)),
        ("colour", pl.Series(["RED", "GREEN"], dtype=pl.Categorical), list(Colour)),
        ("colour", np.where([True, False], Colour.RED, Colour.GREEN), list(Colour)),
        ("colour", pa.array(["RED", "GREEN"]), list(Colour)),
        ("colour", pa.array(["RED", "GREEN"]).dictionary_encode(), list(Colour)),
        ("at_utc", pd.Series(TIMES), [MOMENT.replace(tzinfo=UTC)] * 2),
        ("at_utc", pd.Series(TIMES)[::-1], [MOMENT.replace(tzinfo=UTC)] * 2),
        ("day", pd.Series(TIMES).dt.normalize(), [MOMENT.date()] * 2),
        ("part", PARTS, PARTS),
        ("part", PARTS[0], [PARTS[0]] * 2),
        ("part", pa.array(PLAIN_PARTS), PARTS),
        ("part", pl.Series(PLAIN_PARTS), PARTS),
        ("tags", [["a"], []], [["a"], []]),
        ("tags", pa.array([["a"], []]), [["a"], []]),
        ("notes", {"a": 1}, [{"a": 1}] * 2),
        ("notes", [{"a": 1}, {}], [{"a": 1}, {}]),
        ("notes", pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())), [{"a": 1}, {}]),
        ("notes", pl.Series([[{"key": "a", "value": 1}], []]), [{"a": 1}, {}]),
    ],
)
def test_a_column_of_the_fields_type_is_accepted(
    name: str, values: Any, expected: list[Any]
) -> None:
    assert stored(name, values) == (expected, {})


@pytest.mark.parametrize(
    ("name", "values", "rows", "found"),
    [
        ("flag", np.array([1, 0]), [0, 1], "an int"),
        ("count", np.array([True, False]), [0, 1], "a bool"),
        ("key", pa.array([KEYS[0].bytes, b"short"]), [1], "a bytes"),
        ("key", [KEYS[0].bytes, KEYS[1]], [0], "a bytes"),
        ("count", np.array([1.0, 1.5]), [1], "a float64 that int64 can't hold"),
        ("count", np.array([1.0, np.nan]), [1], "a float64 that"),
        ("count", np.array([1.0, 2.0**53]), [1], "a float64 that"),
        ("count", pd.Series([1.0, 2.5]), [1], "a float64 that"),
        ("count", pd.Series([1, None]), [1], "None"),
        ("count", pd.Series([1, None], dtype="Int64"), [1], "None"),
        ("count", pd.Series([1, pd.NA], dtype=object), [1], "a NAType"),
        ("at", pd.Series([MOMENT, pd.NaT], dtype=object), [1], "a NaTType"),
        ("maybe_name", pd.Series(["a", 1.5], dtype=object), [1], "a float"),
        ("count", np.array([1, 2**63], np.uint64), [1], "a uint64 that"),
        ("count", np.array([1, None], object), [1], "None"),
        ("count", pa.array([1, None]), [1], "None"),
        ("count", pa.array([True, False]), [0, 1], "a bool"),
        ("count", pa.array([1, 2**63], pa.uint64()), [1], "an int that"),
        ("price", np.array([1, 2**53 + 1]), [1], "an int that double"),
        ("price", np.array(["1", "2"]), [0, 1], "a str"),
        ("name", np.array(["a", None], object), [1], "None"),
        ("name", np.array([b"a", b"b"]), [0, 1], "a bytes"),
        ("name", np.array(["a", "\ud800"], object), [1], "a str with a lone surrogate"),
        (
            "day",
            np.array(["2020-01-01T01", "2020-01-01T00"], "datetime64[h]"),
            [0],
            "datetime64[h]",
        ),
        ("day", pd.Series(TIMES), [0, 1], "datetime64[ns] that date32"),
        ("day", pd.Series(TIMES).dt.normalize().dt.tz_localize("UTC"), [0, 1], "a Timestamp"),
        ("day", pd.Series(TIMES).dt.normalize().where([True, False]), [1], "None"),
        ("at", np.array([1, 1_000], "datetime64[ns]"), [0], "datetime64[ns]"),
        ("at", np.array(["NaT", "2020-01-01"], "datetime64[us]"), [0], "None"),
        ("at", pd.Series(TIMES).dt.tz_localize("UTC"), [0, 1], "a"),
        (
            "at",
            [MOMENT.replace(tzinfo=UTC)] * 2,
            [0, 1],
            (
                "a datetime with a time zone instead of "
                "a naive one (annotate the field as Annotated[datetime, bf.UTC]"
            ),
        ),
        ("colour", np.array(["RED", "BLUE"]), [1], "a str"),
        ("colour", pa.array(["RED", "BLUE"]), [1], "a str"),
        ("part", pa.array([{"sku": "x"}] * 2), [0, 1], "a dict"),
        ("tags", [["a"], "b"], [1], "a str"),
        (
            "amount",
            pa.array([decimal.Decimal("1.555"), decimal.Decimal("1.500")]),
            [0],
            "a Decimal",
        ),
    ],
)
def test_only_the_values_that_do_not_fit_are_problems(
    name: str, values: Any, rows: list[int], found: str
) -> None:
    _, problems = stored(name, values)
    assert sorted(problems) == rows
    assert all(text.startswith(found) for text in problems.values())


@pytest.mark.parametrize("values", [np.arange(3), [1], pa.array([1]), pl.Series([1, 2, 3])])
def test_a_column_of_another_length_is_an_error_with_both_lengths(values: Any) -> None:
    with pytest.raises(WrongLengthError, match=rf"{len(values)} values? for 2 runs"):
        as_column(values, 2, TYPES["count"])


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([1, 2], index=[1, 2]),
        pd.Series([1, 2], index=[0, 0]),
        pd.Series([1, 2], index=["a", "b"]),
        pd.Series([1, 2], index=[0.0, 1.0]),
        pd.Series([1, 2], index=pd.MultiIndex.from_tuples([(0, 0), (0, 1)])),
        {1, 2},
        {"a": 1, "b": 2}.keys(),
        types.MappingProxyType({1: 1, 2: 2}),
    ],
)
def test_a_column_in_an_unknown_order_is_refused(values: Any) -> None:
    with pytest.raises(UnorderedColumnError, match=r"index|no order"):
        as_column(values, 2, TYPES["count"])


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.ones((2, 1)), "an array of 2 dimensions"),
        (pd.DataFrame({"a": [1, 2]}), "a DataFrame, which may have"),
        (pl.DataFrame({"a": [1, 2]}), "a DataFrame, which may have"),
        (pa.table({"a": [1, 2]}), "a Table, which may have"),
        (pl.col("count") + 1, "a Polars Expr, which isn't evaluated"),
    ],
)
def test_what_is_not_one_column_is_refused_as_a_whole(values: Any, found: str) -> None:
    with pytest.raises(ColumnShapeError, match=found):
        as_column(values, 2, TYPES["count"])


def test_nan_stays_a_float_in_a_field_that_cannot_be_none() -> None:
    values, problems = stored("price", pd.Series([0.5, np.nan]))
    assert (str(values), problems) == ("[0.5, nan]", {})
