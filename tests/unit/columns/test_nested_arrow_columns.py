"""Nested Arrow columns are checked and stored by column, with the same result as their values."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchflow.columns.array_writing import as_column, write_column
from batchflow.columns.value_reading import read_values
from batchflow.columns.value_writing import write_values
from batchflow.definition import UTC, FieldType, Precision, fields_of
from kit.colours import Colour
from kit.effort import examples


@dataclass
class Part:
    sku: str
    colour: Colour
    size: int | None = None


@dataclass
class Box:
    part: Part
    inner: Part | None
    tags: list[str]
    deep: list[list[int] | None] | None
    parts: list[Part | None]
    notes: dict[str, int]
    maps: dict[str, list[Part]] | None
    prices: list[Annotated[Decimal, Precision(9, 2)]]
    moments: list[Annotated[dt.datetime, UTC]]
    took: list[dt.timedelta]
    keys: list[uuid.UUID]


TYPES: dict[str, FieldType] = {each.name: each.type for each in fields_of(Box)}
TEXTS = st.text(max_size=3)
NUMBERS = st.integers(-(2**63), 2**63 - 1)
PARTS = st.builds(Part, TEXTS, st.sampled_from(Colour), st.none() | NUMBERS)
MOMENTS = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30))  # noqa: DTZ001
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "part": PARTS,
    "inner": st.none() | PARTS,
    "tags": st.lists(TEXTS, max_size=3),
    "deep": st.none() | st.lists(st.none() | st.lists(NUMBERS, max_size=2), max_size=3),
    "parts": st.lists(st.none() | PARTS, max_size=3),
    "notes": st.dictionaries(TEXTS, NUMBERS, max_size=3),
    "maps": st.none() | st.dictionaries(TEXTS, st.lists(PARTS, max_size=2), max_size=3),
    "prices": st.lists(st.decimals(-(10**6), 10**6, places=2), max_size=3),
    "moments": st.lists(MOMENTS.map(lambda at: at.replace(tzinfo=UTC)), max_size=3),
    "took": st.lists(st.timedeltas(-dt.timedelta(10**5), dt.timedelta(10**5)), max_size=3),
    "keys": st.lists(st.uuids(), max_size=3),
}


def stored(name: str, column: pa.Array) -> tuple[list[Any], dict[int, str]]:
    written = write_column(as_column(column, len(column), TYPES[name]), TYPES[name])
    assert written.array.type == TYPES[name].arrow
    assert len(written.array) == len(column)
    written.array.validate(full=True)
    return read_values(written.array, TYPES[name]), written.problems


@pytest.mark.parametrize("name", TYPES)
@given(data=st.data())
@examples(25)
def test_any_part_of_a_nested_column_is_stored_as_it_is(name: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(VALUES[name], max_size=6))
    start = data.draw(st.integers(0, len(values)))
    column = write_values(values, TYPES[name]).array.slice(start)
    assert stored(name, column) == (values[start:], {})


def test_the_buffers_of_a_column_of_the_stored_type_are_stored_without_a_copy() -> None:
    parts = [[Part("a", Colour.RED, 1), Part("b", Colour.GREEN, 2)]] * 3
    column = write_values(parts, TYPES["parts"]).array
    kept = write_column(as_column(column, 3, TYPES["parts"]), TYPES["parts"]).array
    for place in range(3):
        before, after = (each.values.field(place).buffers() for each in (column, kept))
        assert [buffer.address for buffer in before[1:]] == [buffer.address for buffer in after[1:]]


STRUCT = pa.struct([("sku", pa.string()), ("colour", pa.string()), ("size", pa.int64())])
RED = {"sku": "x", "colour": "RED", "size": 1}
HIDDEN = pa.StructArray.from_arrays(
    [pa.array(["x", None]), pa.array(["RED", "BLUE"]), pa.array([1, 2])],
    fields=list(STRUCT),
    mask=pa.array([False, True]),
)


@pytest.mark.parametrize(
    ("name", "column", "expected"),
    [
        ("part", pa.array([RED], pa.struct(list(STRUCT)[::-1])), [Part("x", Colour.RED, 1)]),
        ("part", pa.array([{**RED, "size": np.int8(1)}]), [Part("x", Colour.RED, 1)]),
        ("inner", HIDDEN, [Part("x", Colour.RED, 1), None]),
        (
            "parts",
            pa.array([[RED], [None]], pa.large_list(STRUCT)),
            [[Part("x", Colour.RED, 1)], [None]],
        ),
        ("parts", pa.array([[RED]], pa.list_(STRUCT, 1)), [[Part("x", Colour.RED, 1)]]),
        ("tags", pa.array([["a"], []], pa.list_(pa.large_string())), [["a"], []]),
        ("tags", pa.array([["a"]], pa.list_(pa.dictionary(pa.int8(), pa.string()))), [["a"]]),
        ("tags", pa.array([[], []]), [[], []]),
        ("deep", pa.array([None, [None]], pa.list_(pa.list_(pa.int8()))), [None, [None]]),
        (
            "deep",
            pa.ListArray.from_arrays(
                pa.array([0, 2, 3], pa.int32()),
                pa.array([[1], [2], [3]]),
                mask=pa.array([True, False]),
            ),
            [None, [[3]]],
        ),
        (
            "notes",
            pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64())),
            [{"a": 2}],
        ),
        (
            "keys",
            pa.array([[uuid.UUID(int=5).bytes]], pa.list_(pa.binary(16))),
            [[uuid.UUID(int=5)]],
        ),
        (
            "prices",
            pa.array([[Decimal("1.5")]], pa.list_(pa.decimal128(20, 4))),
            [[Decimal("1.50")]],
        ),
    ],
)
def test_a_column_of_a_related_type_is_stored_exactly(
    name: str, column: pa.Array, expected: list[Any]
) -> None:
    assert stored(name, column) == (expected, {})


@pytest.mark.parametrize(
    ("name", "column", "problems"),
    [
        ("tags", pa.array([["a"], None, ["b", None]]), {1: "None", 2: "None as item"}),
        ("parts", pa.array([[RED], [{**RED, "sku": None}]]), {1: "None as 'sku' as item"}),
        ("parts", pa.array([[RED], [{**RED, "colour": "BLUE"}]]), {1: "a str as 'colour' as item"}),
        (
            "parts",
            pa.array([[None], [{**RED, "sku": None}]], pa.list_(STRUCT)),
            {1: "None as 'sku' as item"},
        ),
        ("inner", pa.array([None, {**RED, "sku": None}], STRUCT), {1: "None as 'sku'"}),
        (
            "part",
            pa.array([{"sku": "x"}, {"sku": "y"}]),
            dict.fromkeys(range(2), "a dict without the key 'colour'"),
        ),
        (
            "notes",
            pa.array([[("a", 1)], [("b", None)]], pa.map_(pa.string(), pa.int64())),
            {1: "None as value"},
        ),
        (
            "prices",
            pa.array([[Decimal("1.5")], [Decimal("1.555")]]),
            {1: "a Decimal that decimal128(9, 2) can't hold as item"},
        ),
        (
            "moments",
            pa.array([[0], [2**62]], pa.list_(pa.timestamp("us", "UTC"))),
            {1: "datetime64[us] that timestamp[us, tz=UTC] can't hold as item"},
        ),
        ("tags", pa.array([[1], []]), {0: "an int as item"}),
    ],
)
def test_only_the_rows_with_an_unfit_part_are_problems(
    name: str, column: pa.Array, problems: dict[int, str]
) -> None:
    assert stored(name, column)[1] == problems


def test_a_text_that_is_not_utf8_is_refused_inside_a_list_too() -> None:
    broken = pa.StringArray.from_buffers(
        1, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff")
    )
    column = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), broken)
    with pytest.raises(pa.ArrowInvalid, match="UTF8"):
        as_column(column, 1, TYPES["tags"])
