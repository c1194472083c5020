from __future__ import annotations

import datetime as dt
import enum
import json
from dataclasses import dataclass, make_dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loading_kit import Item, opened

from batchflow.definition.fields import UTC, Precision
from batchflow.errors import InvalidRowsError, SourceError

Money = Annotated[Decimal, Precision(8, 2)]
Instant = Annotated[dt.datetime, UTC]


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


@dataclass
class Inner:
    x: int
    y: str | None = None


@cache
def row_with(field_type: Any) -> type[Any]:
    return make_dataclass("Row", [("key", str), ("value", field_type)])


def loaded(field_type: Any, source: Any, **options: Any) -> list[bool]:
    """Load a source with columns key and value, and return for each row whether it was loaded."""
    with opened(row_with(field_type)) as loader:
        report = loader.load(source, foreign_id="key", on_invalid="skip", **options)
        kept = loader.column("foreign_id")
        assert report.skipped_invalid == sum(column.count for column in report.invalid)
        keys = loader.query("SELECT 1 AS one")  # the store still works
        assert keys == [{"one": 1}]
        return [str(n) in kept for n in range(report.loaded + report.skipped_invalid)]


def arrow(values: Any, type_: pa.DataType | None = None) -> pa.Table:
    array = values if isinstance(values, pa.Array) else pa.array(values, type_)
    return pa.table({"key": [str(n) for n in range(len(array))], "value": array})


def texts(*values: str | None) -> pa.Table:
    return arrow(list(values), pa.string())


GOOD = True
BAD = False
big = 2**53 + 1

CASES: list[Any] = [
    # Whole numbers.
    (int, arrow([1.0, 1.5, float("nan"), float("inf"), 1e30, -0.0]), "100001"),
    (int, arrow([2**63 - 1, 2**63], pa.uint64()), "10"),
    (int, arrow([Decimal("1.00"), Decimal("1.01")]), "10"),
    (
        int,
        texts("5", "-5", "+5", "1.0", "1.5", "1e3", "0x1A", "1_0", "", "abc", " 7 "),
        "11110100001",
    ),
    (int, texts("9223372036854775807", "9223372036854775808"), "10"),
    (int, arrow([1, None]), "10"),
    (int | None, arrow([1, None]), "11"),
    (int | None, arrow(pa.nulls(2)), "11"),
    (int, arrow(pa.nulls(2)), "00"),
    # Floating point.
    (float, arrow([big - 1, big]), "10"),
    (float, arrow([1.5, 2.0], pa.float32()), "11"),
    (float, texts("1.5", "1e3", "nan", "-inf", "1e999", "abc", "1,5"), "1111000"),
    # Decimals.
    (Money, arrow([1.25, 0.1]), "00"),
    (Money | None, arrow([None, None], pa.float64()), "11"),
    (Money, arrow([Decimal("1.250"), Decimal("1.255")]), "10"),
    (Money, arrow([999_999, 1_000_000]), "10"),
    (Money, texts("1.25", "1.250", "1.255", "1e2", ".5", "abc", "-7"), "1101101"),
    # Booleans.
    # Parquet keeps truth values of 8 bits as such integers.
    (bool, arrow([0, 1, 2], pa.int8()), "110"),
    (bool, texts("true", "False", "1", "0", "maybe"), "11110"),
    # Text and bytes.
    (str, arrow(["a", None]), "10"),
    (bytes, texts("ä", "\\xAA"), "11"),
    # Dates and times.
    (dt.date, texts("2024-02-29", "2023-02-29", "2024-01-01 10:00:00", "soon"), "1000"),
    (dt.date, arrow([dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, 1)]), "10"),  # noqa: DTZ001
    (
        dt.datetime,
        texts(
            "2024-01-01",
            "2024-01-01T10:00:00",
            "2024-01-01 10:00:00.123456",
            "2024-01-01 10:00:00.1234567",
            "2024-01-01T10:00:00Z",
            "2024-01-01T10:00+02:00",
        ),
        "111000",
    ),
    (dt.datetime, arrow([1_000, 1_001], pa.timestamp("ns")), "10"),
    (
        Instant,
        texts("2024-01-01T10:00:00", "2024-01-01T10:00:00Z", "2024-01-01T10:00:00+02:00", "later"),
        "1110",
    ),
    (Instant, arrow([1_000, 1_001], pa.timestamp("ns", "UTC")), "10"),
    (Instant, arrow([1_000, 1_001], pa.timestamp("ns")), "10"),
    (dt.timedelta, texts("3 days", "02:00:00", "1 month", "2 years", "x"), "11000"),
    (
        dt.timedelta,
        texts("2562047:47:16.854775", "2562047:47:16.854776", "-2562047:47:16.854776", "9e9 days"),
        "1000",
    ),
    (dt.timedelta, texts("106751 days", "106752 days", "2000000000 days"), "100"),
    (dt.timedelta, texts("-106751 days 2562048:00:00"), "0"),
    (dt.timedelta, arrow([9_223_372_036, 9_223_372_037], pa.duration("s")), "10"),
    (dt.timedelta, arrow([2**63 - 1, 1 - 2**63, None], pa.duration("us")), "000"),
    (dt.timedelta | None, arrow([2**63 - 1, 1 - 2**63, None], pa.duration("ns")), "001"),
    (list[dt.timedelta], arrow([[0, 2**62], [1]], pa.list_(pa.duration("us"))), "01"),
    # Identifiers and members.
    (UUID, texts(str(UUID(int=7)), "7"), "10"),
    (Colour, texts("RED", "r", "red", "BLUE", ""), "10010"),
    (Colour | None, arrow(pa.array(["RED", "GREEN", None]).dictionary_encode()), "101"),
    # Nested values.
    (list[int], arrow([[1, 2], [], [1, None]]), "110"),
    (list[int], arrow([[1.0], [1.5]]), "10"),
    (list[int | None], arrow([[1, None], None]), "10"),
    (list[list[int]], arrow([[[1], []], [[1], [None]], [[]]]), "101"),
    (Inner, arrow([{"x": 1, "y": "a"}, {"x": None, "y": "a"}, None]), "100"),
    (Inner, arrow([{"X": 1.0}, {"X": 1.5}]), "10"),
    (Inner | None, arrow([{"x": 1, "y": None}, {"x": None, "y": "a"}, None]), "101"),
    (
        dict[str, int],
        arrow([[("a", 1)], [("a", None)], []], pa.map_(pa.string(), pa.int64())),
        "101",
    ),
    (
        dict[str, list[Inner]],
        arrow(
            [[("a", [{"x": 1}])], [("a", [{"x": None}])]],
            pa.map_(pa.string(), pa.list_(pa.struct([("x", pa.int32())]))),
        ),
        "10",
    ),
    (list[int], texts("[1, 2]", "[1.5]", "nothing", "[]"), "1001"),
    (Inner, texts("{'x': 1, 'y': q}", "{'x': q}", "7"), "100"),
]


@pytest.mark.parametrize(("field_type", "source", "kept"), CASES)
def test_values_are_kept_if_the_conversion_is_exact(
    field_type: Any, source: Any, kept: str
) -> None:
    assert loaded(field_type, source) == [flag == "1" for flag in kept]


@pytest.mark.parametrize(
    ("field_type", "source"),
    [
        (int, arrow([True])),
        (int, arrow([dt.date(2024, 1, 1)])),
        (float, arrow([True])),
        (bool, arrow([1])),
        (str, arrow([1])),
        (str, arrow([1.5])),
        (str, arrow([b"a"])),
        (bytes, arrow([1])),
        (dt.datetime, arrow([0], pa.timestamp("us", "UTC"))),
        (dt.datetime, arrow([dt.date(2024, 1, 1)])),
        (Instant, arrow([dt.date(2024, 1, 1)])),
        (dt.timedelta, arrow([1])),
        (UUID, arrow([1])),
        (Colour, arrow([1])),
        (list[int], arrow([1])),
        (list[str], arrow([[1.5]])),
        (list[str], arrow([[1]])),
        (Inner, arrow([{"y": "a"}])),
        (Inner, arrow([{"x": True}])),
        (Inner, arrow([{"x": 1, "z": None}])),
        (dict[str, int], arrow([{"a": 1}])),
    ],
)
def test_columns_of_types_that_lose_information_are_refused(field_type: Any, source: Any) -> None:
    with pytest.raises(SourceError, match=r"'value' is .* can't become .* without loss"):
        loaded(field_type, source)


def test_the_error_for_rows_that_do_not_fit_has_columns_counts_and_row_numbers() -> None:
    source = pa.table(
        {
            "name": ["a", "b", None, "d", "e", "f", "g", "h"],
            "price": ["1", "secret", "3", "4", "5", "6", "7", "8"],
            "count": ["1", "x", "3", "4.5", "y", "6.5", "7.5", "8.5"],
            "key": [f"k{n}" for n in range(8)],
        }
    )
    with opened() as loader:
        with pytest.raises(InvalidRowsError) as caught:
            loader.load(source, foreign_id="key")
        assert loader.column("seq") == []

    message = str(caught.value)
    assert "1 row of column 'name' doesn't fit str (row 3: 'k2')" in message
    assert "1 row of column 'price' doesn't fit float (row 2: 'k1')" in message
    assert "5 rows of column 'count' don't fit int (row 4: 'k3', row 5: 'k4'" in message
    assert "secret" not in message
    error = caught.value
    assert (error.column, error.count, error.sample) == ("name", 1, ("row 3: 'k2'",))


def test_a_null_in_a_parquet_column_of_the_right_type_is_found(tmp_path: Path) -> None:
    table = pa.table({"name": ["a", "b", "c"], "price": [1.0, None, 3.0]})
    pq.write_table(table, tmp_path / "a.parquet")
    with opened() as loader:
        with pytest.raises(InvalidRowsError, match="1 row of column 'price' doesn't fit float"):
            loader.load(tmp_path / "a.parquet")
        report = loader.load(tmp_path / "a.parquet", on_invalid="skip")

        assert (report.loaded, report.skipped_invalid) == (2, 1)
        assert loader.column("seq") == [0, 1]
        assert loader.column("name") == ["a", "c"]


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_a_row_without_a_foreign_id_does_not_fit(tmp_path: Path, suffix: str) -> None:
    table = pa.table({"key": ["k", None], "name": ["a", "b"], "price": [1.0, 2.0]})
    pq.write_table(table, tmp_path / "a.parquet")
    source = tmp_path / "a.parquet" if suffix == "parquet" else table
    with opened() as loader:
        with pytest.raises(InvalidRowsError, match=r"'key' doesn't fit a foreign id \(row 2\)"):
            loader.load(source, foreign_id="key")

        assert loader.load(source, foreign_id="key", on_invalid="skip").loaded == 1


def test_objects_whose_values_do_not_fit_are_found() -> None:
    items: list[Any] = [Item("a", 1.0), Item("b", "2.0"), Item("c", 3.0, 2.5), Item(None, 1)]
    with opened() as loader:
        with pytest.raises(InvalidRowsError) as caught:
            loader.load(items)
        report = loader.load(items, on_invalid="skip")

        assert loader.column("name") == ["a"]
    assert "1 row of column 'price' doesn't fit float (row 2: 'b' is a str)" in str(caught.value)
    assert [(column.column, column.count) for column in report.invalid] == [
        ("name", 1),
        ("price", 1),
        ("count", 1),
    ]


def test_values_in_json_are_stored_unchanged(tmp_path: Path) -> None:
    values = {"key": "0", "value": {"a": [{"x": 1, "y": "b"}, {"x": 2, "y": None}]}}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(values))
    row = make_dataclass("Row", [("key", str), ("value", dict[str, list[Inner]])])

    with opened(row) as loader:
        loader.load(path, foreign_id="key")

        assert loader.column("value") == [[("a", [{"x": 1, "y": "b"}, {"x": 2, "y": None}])]]


def test_a_json_number_with_a_fraction_is_not_an_integer(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"key": "0", "value": 1}\n{"key": "1", "value": 1.5}\n')

    assert loaded(int, path) == [True, False]


@dataclass
class Everything:
    key: str
    flag: bool
    number: int
    share: float
    money: Money
    raw: bytes
    day: dt.date
    naive: dt.datetime
    instant: Instant
    span: dt.timedelta
    uid: UUID
    colour: Colour
    inner: Inner
    items: list[Inner]
    table: dict[str, float]
    maybe: Colour | None = None


def everything() -> Everything:
    return Everything(
        key="k",
        flag=True,
        number=-(2**63),
        share=float("inf"),
        money=Decimal("-999999.99"),
        raw=b"\x00\xff",
        day=dt.date(1, 1, 1),
        naive=dt.datetime(9999, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001 - naive on purpose
        instant=dt.datetime(2024, 3, 31, 1, 30, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        span=dt.timedelta(days=-3, microseconds=1),
        uid=UUID(int=2**127),
        colour=Colour.BLUE,
        inner=Inner(1, "ü"),
        items=[Inner(2), Inner(3, "")],
        table={"": 0.5, "b": -1.0},
    )


def test_every_type_is_stored_alike_from_each_kind_of_source(tmp_path: Path) -> None:
    with opened(Everything) as first, opened(Everything) as second, opened(Everything) as third:
        first.load([everything()], foreign_id="key")
        columns = ", ".join(f'"{field.column}"' for field in first.layout.fields)
        stored = first.arrow(f"SELECT {columns} FROM items.runs")
        pq.write_table(
            first.arrow(f"SELECT * REPLACE (span::VARCHAR AS span) FROM ({columns_of(first)})"),
            tmp_path / "a.parquet",
        )
        second.load(stored, foreign_id="key")
        third.load(tmp_path / "a.parquet", foreign_id="key")

        rows = [found.query(columns_of(found)) for found in (first, second, third)]
    assert rows[0] == rows[1] == rows[2]
    assert rows[0][0]["number"] == -(2**63)
    assert rows[0][0]["instant"] == everything().instant
    assert rows[0][0]["items"] == [{"x": 2, "y": None}, {"x": 3, "y": ""}]


def columns_of(loader: Any) -> str:
    names = ", ".join(f'"{field.column}"' for field in loader.layout.fields)
    return f"SELECT {names} FROM items.runs"
