"""The leaves of nested values become the columns that the values themselves would become."""

from __future__ import annotations

import copy
import datetime
import enum
from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from functools import cached_property
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchflow.columns.leaves import LeafColumns, leaves_of
from batchflow.columns.value_writing import MISSING, WrittenColumn, write_values
from batchflow.definition import FieldType, fields_of
from batchflow.definition.field_type import list_type
from kit.colours import Colour
from kit.effort import examples


class Size(enum.IntEnum):
    SMALL = 1


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    sizes: list[float | None]
    size: Size | None = None


@dataclass
class Line:
    sku: str
    parts: list[Part | None] | None
    notes: dict[str, list[int]]
    due: datetime.date
    colour: Colour = Colour.RED

    @cached_property
    def length(self) -> int:
        return len(self.sku)


@dataclass
class Order:
    line: Line
    lines: list[Line]
    maybe: Line | None
    named: dict[str, Line | None] | None
    tags: list[str]


TYPES: dict[str, FieldType] = {field.name: field.type for field in fields_of(Order)}
PARTS = st.builds(
    Part,
    name=st.text(max_size=3),
    sizes=st.lists(st.none() | st.floats(allow_nan=False), max_size=2),
    size=st.none() | st.just(Size.SMALL),
)
LINES = st.builds(
    Line,
    sku=st.text(max_size=3),
    parts=st.none() | st.lists(st.none() | PARTS, max_size=2),
    notes=st.dictionaries(st.text(max_size=2), st.lists(st.integers(0, 9), max_size=2), max_size=2),
    due=st.dates(),
    colour=st.sampled_from(Colour),
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "line": LINES,
    "lines": st.lists(LINES, max_size=3),
    "maybe": st.none() | LINES,
    "named": st.none() | st.dictionaries(st.text(max_size=2), st.none() | LINES, max_size=2),
    "tags": st.lists(st.text(max_size=3), max_size=3),
}


@st.composite
def columns(draw: st.DrawFn) -> tuple[FieldType, list[Any]]:
    name = draw(st.sampled_from(list(TYPES)))
    return TYPES[name], draw(st.lists(VALUES[name], min_size=1, max_size=4))


@examples(60)
@given(columns())
def test_leaves_are_written_like_the_values(column: tuple[FieldType, list[Any]]) -> None:
    field_type, values = column
    expected = write_values(values, field_type)

    written = written_leaves(values, field_type)

    written.array.validate(full=True)
    assert written.array.equals(expected.array)
    assert written.problems == expected.problems == {}


def written_leaves(values: list[Any], field_type: FieldType) -> WrittenColumn:
    columns = LeafColumns(field_type)
    for row, value in enumerate(values):
        columns.append(row, taken(value, field_type))
    rows, written = columns.written()
    assert rows.tolist() == list(range(len(values)))
    return written


def taken(value: Any, field_type: FieldType) -> tuple[list[Any], ...]:
    leaves = leaves_of(field_type)(value)
    assert leaves is not None
    return leaves


@examples(60)
@given(columns())
def test_values_are_equal_if_their_leaves_are(column: tuple[FieldType, list[Any]]) -> None:
    field_type, values = column
    for value in values:
        assert taken(value, field_type) == taken(copy.deepcopy(value), field_type)
        for other in values:
            same = taken(value, field_type) == taken(other, field_type)
            assert same == (value == other)


def line(**changes: Any) -> Line:
    return Line(
        **{"sku": "a", "parts": [], "notes": {}, "due": datetime.date(2024, 1, 1), **changes}
    )


def test_leaves_are_kept_when_the_value_changes_later() -> None:
    value = line(parts=[Part("p", [1.0])], notes={"n": [1]})
    before = taken(value, TYPES["line"])
    assert value.parts is not None
    assert value.parts[0] is not None
    value.parts[0].sizes.append(2.0)
    value.notes["n"].append(2)
    value.notes["m"] = []
    value.sku = "b"

    assert before == taken(line(parts=[Part("p", [1.0])], notes={"n": [1]}), TYPES["line"])
    assert before != taken(value, TYPES["line"])


@dataclass
class Longer(Line):
    more: int = 0


class Tags(list[str]):
    pass


class Text(str):
    __slots__ = ()


def with_attribute() -> Line:
    made = line()
    made.other = 1  # type: ignore[attr-defined]
    return made


def without_attribute() -> Line:
    made = line()
    del made.sku
    return made


def with_cache() -> Line:
    made = line()
    assert made.length == 1
    return made


UNUSUAL: dict[str, tuple[str, Callable[[], Any]]] = {
    "a subclass": ("line", lambda: Longer("a", [], {}, datetime.date(2024, 1, 1))),
    "a subclass of list": ("tags", lambda: Tags(["a"])),
    "a tuple": ("tags", lambda: ("a",)),
    "a subclass of str in a list": ("tags", lambda: [Text("a")]),
    "a subclass of str in a struct": ("line", lambda: line(sku=Text("a"))),
    "another attribute": ("line", with_attribute),
    "a cache": ("line", with_cache),
    "a deleted attribute": ("line", without_attribute),
    "no value": ("line", lambda: MISSING),
    "None": ("line", lambda: None),
    "None in a list": ("lines", lambda: [None]),
    "True for 1.0": ("line", lambda: line(parts=[Part("p", [True])])),
    "1 for a member that equals it": ("line", lambda: line(parts=[Part("p", [], 1)])),  # type: ignore[arg-type]
    "an int key": ("line", lambda: line(notes={1: []})),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_an_unusual_value_has_no_leaves(name: str) -> None:
    field, make = UNUSUAL[name]
    assert leaves_of(TYPES[field])(make()) is None


def test_a_value_that_raises_when_it_is_read_has_no_leaves() -> None:
    part = make_dataclass("part", [("name", str)])
    [owned] = fields_of(make_dataclass("owner", [("part", part)]))
    value = part("a")
    part.name = property(lambda _: 1 / 0)  # type: ignore[attr-defined]
    assert leaves_of(owned.type)(value) is None


def test_values_that_are_nested_deeper_than_loops_may_be_have_no_leaves() -> None:
    field_type = TYPES["tags"]
    value: Any = ["a"]
    for _ in range(30):
        field_type, value = list_type(field_type), [value]
    assert leaves_of(field_type)(value) is None


class Interrupting(list[str]):
    def __iter__(self) -> Any:
        yield "b"
        raise KeyboardInterrupt


def test_leaves_of_which_only_some_could_be_appended_leave_nothing() -> None:
    columns = LeafColumns(TYPES["tags"])
    columns.append(0, taken(["a"], TYPES["tags"]))
    with pytest.raises(KeyboardInterrupt):
        columns.append(1, ([2], Interrupting()))
    columns.append(2, taken(["c", "d"], TYPES["tags"]))

    rows, written = columns.written()

    assert rows.tolist() == [0, 2]
    assert written.array.to_pylist() == [["a"], ["c", "d"]]


def test_unfit_leaves_are_problems_of_their_value() -> None:
    values = [["a"], ["b", "\ud800"], ["c"]]
    expected = write_values(values, TYPES["tags"])

    written = written_leaves(values, TYPES["tags"])

    assert written.problems.keys() == {1}
    assert written.problems == expected.problems
    lines = [line(), line(notes={"\ud800": [1]}), line(parts=[Part("p", []), Part("\ud800", [])])]
    expected = write_values(lines, TYPES["line"])
    written = written_leaves(lines, TYPES["line"])
    assert written.problems.keys() == {1, 2}
    assert written.problems == expected.problems
