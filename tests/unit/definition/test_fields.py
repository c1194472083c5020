from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import sys
import types
import typing
import uuid
from dataclasses import InitVar, dataclass, field
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Optional

import duckdb
import pyarrow as pa
import pytest

from batchflow.definition import UTC, Kind, Precision, fields_of
from batchflow.definition.fields import ENGINE_COLUMNS
from batchflow.errors import DefinitionError


class Size(enum.Enum):
    SMALL = 1
    LARGE = 2
    BIG = 2  # noqa: PIE796 - an alias


Quoted = enum.Enum("Quoted", {"it's": 1})
Empty = enum.Enum("Empty", [])


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass
class Address:
    street: str
    zip_code: int | None


@dataclass
class Everything:
    flag: bool
    count: int
    ratio: float
    price: Annotated[Decimal, Precision(18, 2)]
    name: str
    blob: bytes
    day: dt.date
    local: dt.datetime
    instant: Annotated[dt.datetime, UTC]
    took: dt.timedelta
    key: uuid.UUID
    size: Size
    home: Address
    tags: list[str]
    scores: dict[str, float]
    maybe: int | None
    maybe_price: Annotated[Decimal | None, Precision(9, 3)]
    other_price: Annotated[Decimal, Precision(9, 3)] | None
    old_style: Optional[str]  # noqa: UP045 - users still write it
    deep: list[dict[str, Address | None]] | None


TYPES = {
    "flag": (Kind.BOOL, pa.bool_(), "BOOLEAN"),
    "count": (Kind.INT, pa.int64(), "BIGINT"),
    "ratio": (Kind.FLOAT, pa.float64(), "DOUBLE"),
    "price": (Kind.DECIMAL, pa.decimal128(18, 2), "DECIMAL(18, 2)"),
    "name": (Kind.STR, pa.string(), "VARCHAR"),
    "blob": (Kind.BYTES, pa.binary(), "BLOB"),
    "day": (Kind.DATE, pa.date32(), "DATE"),
    "local": (Kind.DATETIME, pa.timestamp("us"), "TIMESTAMP"),
    "instant": (Kind.DATETIME_UTC, pa.timestamp("us", "UTC"), "TIMESTAMPTZ"),
    "took": (Kind.TIMEDELTA, pa.duration("us"), "INTERVAL"),
    "key": (Kind.UUID, pa.uuid(), "UUID"),
    "size": (Kind.ENUM, pa.string(), "ENUM('SMALL', 'LARGE')"),
    "home": (
        Kind.STRUCT,
        pa.struct([("street", pa.string()), ("zip_code", pa.int64())]),
        'STRUCT("street" VARCHAR, "zip_code" BIGINT)',
    ),
    "tags": (Kind.LIST, pa.list_(pa.string()), "VARCHAR[]"),
    "scores": (Kind.MAP, pa.map_(pa.string(), pa.float64()), "MAP(VARCHAR, DOUBLE)"),
    "maybe": (Kind.INT, pa.int64(), "BIGINT"),
    "maybe_price": (Kind.DECIMAL, pa.decimal128(9, 3), "DECIMAL(9, 3)"),
    "other_price": (Kind.DECIMAL, pa.decimal128(9, 3), "DECIMAL(9, 3)"),
    "old_style": (Kind.STR, pa.string(), "VARCHAR"),
}

EVERYTHING = {one.name: one for one in fields_of(Everything)}


def problems_of(object_type: Any) -> str:
    with pytest.raises(DefinitionError) as caught:
        fields_of(object_type)
    return "\n".join(caught.value.problems)


def one_field(annotation: Any, **options: Any) -> type[Any]:
    return dataclasses.make_dataclass("Thing", [("it", annotation, field(**options))])


@pytest.mark.parametrize("name", TYPES)
def test_each_supported_type_is_a_native_column(name: str) -> None:
    field_type = EVERYTHING[name].type

    assert (field_type.kind, field_type.arrow, field_type.sql) == TYPES[name]


def test_the_fields_keep_their_order() -> None:
    assert list(EVERYTHING) == [one.name for one in dataclasses.fields(Everything)]


def test_only_what_may_be_none_is_nullable() -> None:
    assert [name for name, one in EVERYTHING.items() if one.nullable] == [
        "maybe",
        "maybe_price",
        "other_price",
        "old_style",
        "deep",
    ]


def test_parts_of_nested_types_are_types_of_their_own() -> None:
    address = EVERYTHING["deep"].type.child("item").child("value")

    assert address.python is Address
    assert address.nullable
    assert [(name, str(part)) for name, part in address.children] == [
        ("street", "str"),
        ("zip_code", "int | None"),
    ]


@pytest.mark.parametrize("name", EVERYTHING)
def test_the_store_accepts_each_type_and_its_arrow_values(name: str) -> None:
    field_type = EVERYTHING[name].type
    written = pa.table({"it": pa.nulls(1, field_type.arrow)})

    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE kept (it {field_type.sql})")
        connection.execute("INSERT INTO kept SELECT it FROM written")
        assert written.num_rows == 1
        assert connection.execute("SELECT it FROM kept").fetchall() == [(None,)]


def test_names_of_members_are_quoted_in_sql() -> None:
    (kept,) = fields_of(one_field(Quoted))

    assert kept.type.sql == "ENUM('it''s')"


def test_a_type_is_shown_as_it_is_written_in_python() -> None:
    assert str(EVERYTHING["deep"].type) == "list[dict[str, Address | None]] | None"
    assert str(EVERYTHING["price"].type) == "Decimal(18, 2)"


def test_the_utc_of_the_standard_library_marks_a_field_too() -> None:
    (kept,) = fields_of(one_field(Annotated[dt.datetime, dt.UTC]))

    assert kept.type.kind is Kind.DATETIME_UTC


def test_foreign_annotations_are_ignored() -> None:
    (kept,) = fields_of(one_field(Annotated[int, "in pieces"]))

    assert kept.type.kind is Kind.INT


def test_a_field_with_a_default_is_not_required() -> None:
    required, fixed, none, made = fields_of(
        dataclasses.make_dataclass(
            "Thing",
            [
                ("a", int),
                ("b", int, 7),
                ("c", int | None, None),
                ("d", list[int], field(default_factory=list)),
            ],
        )
    )

    assert [one.required for one in (required, fixed, none, made)] == [True, False, False, False]
    assert (fixed.default_value(), none.default_value()) == (7, None)
    assert made.default_value() == []
    assert made.default_value() is not made.default_value()
    with pytest.raises(DefinitionError, match="'a' has no default"):
        required.default_value()


@pytest.mark.parametrize("name", [*ENGINE_COLUMNS, "Status", "RUN_ID"])
def test_a_field_named_like_an_engine_column_is_stored_under_another_name(name: str) -> None:
    (kept,) = fields_of(dataclasses.make_dataclass("Thing", [(name, int)]))

    assert (kept.name, kept.column) == (name, f"object_{name}")


def test_two_fields_for_one_column_are_an_error() -> None:
    thing = dataclasses.make_dataclass("Thing", [("status", int), ("Object_Status", int)])

    assert "'status' is stored in column 'object_status'" in problems_of(thing)


@pytest.mark.parametrize("nested", [False, True])
def test_fields_that_differ_only_in_case_are_an_error(nested: bool) -> None:
    thing = dataclasses.make_dataclass("Thing", [("total", int), ("Total", int)])

    assert "'total' and 'Total' of Thing differ only in case" in problems_of(
        one_field(thing) if nested else thing
    )


@pytest.mark.parametrize(
    ("annotation", "shown"),
    [
        (set[int], "set[int]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (list, "list"),
        (dict, "dict"),
        (complex, "complex"),
        (object, "object"),
        (int | str, "int | str"),
        (None, "NoneType"),
        (dt.time, "time"),
        (Any, "Any"),
        (Literal["a"], "Literal['a']"),
        (typing.TypeVar("T"), "~T"),
        (list[set[int]], "set[int]"),
    ],
)
def test_another_type_is_an_error_that_lists_the_supported_types(
    annotation: Any, shown: str
) -> None:
    problem = problems_of(one_field(annotation))

    assert problem.startswith(f"Field 'it' of Thing has type {shown}, which can't be a column")
    assert "The supported types are bool, int, float" in problem


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (Decimal, r"Write Annotated\[Decimal, Precision\(18, 2\)\]"),
        (Decimal | None, "without a precision"),
        (dict[int, str], "Use str for the keys"),
        (Rights, "can be combined"),
        (Empty, "without members"),
        (Annotated[int, Precision(3)], "type int with a Precision"),
        (Annotated[dt.date, UTC], "type date with UTC"),
        (Annotated[dt.datetime, "utc"], r"Write Annotated\[datetime, bf.UTC\]"),
        (Annotated[dt.datetime, dt.timezone(dt.timedelta(hours=1))], "zone UTC.01:00"),
        (set[str], r"Use list\[X\]"),
        (frozenset[str], r"Use list\[X\]"),
        (tuple[str, int], "or a dataclass"),
        (tuple, "or a dataclass"),
        (Literal["a", "b"], "Use an Enum with these values"),
        (dict[str, Any], "Use a dataclass .* or a str that contains JSON"),
        (list, r"Name its items' type: list\[X\]"),
        (dict, r"Name its items' type: dict\[str, X\]"),
        (int | str, "Use one type"),
    ],
)
def test_a_nearly_valid_type_is_an_error_with_the_solution(annotation, expected) -> None:
    with pytest.raises(DefinitionError, match=expected):
        fields_of(one_field(annotation))


@pytest.mark.parametrize(("digits", "scale"), [(0, 0), (39, 0), (5, 6), (5, -1)])
def test_a_precision_out_of_range_is_an_error(digits: int, scale: int) -> None:
    with pytest.raises(DefinitionError, match="out of range"):
        Precision(digits, scale)


@dataclass
class Node:
    value: int
    next: Node | None


def test_a_dataclass_that_contains_itself_is_an_error() -> None:
    assert "which contains itself" in problems_of(Node)


@dataclass
class Nothing:
    pass


def test_a_nested_dataclass_without_fields_is_an_error() -> None:
    assert "It has no fields" in problems_of(one_field(Nothing))


@dataclass
class Counted:
    kept: int
    shared: ClassVar[int] = 0


def test_class_variables_are_no_fields() -> None:
    assert [one.name for one in fields_of(Counted)] == ["kept"]


@dataclass
class Derived:
    kept: int
    made: int = field(init=False, default=0)


@dataclass
class Seeded:
    kept: int
    seed: InitVar[int]


@dataclass(init=False)
class Handmade:
    kept: int

    def __init__(self, other: int) -> None:
        self.kept = other


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("object_type", "expected"),
    [
        (Derived, "'made' of Derived has init=False"),
        (Seeded, "Seeded takes 'seed', which is not a field"),
        (Handmade, "Handmade takes 'other', which is not a field"),
    ],
)
def test_an_object_that_cannot_be_created_from_its_fields_is_an_error(
    object_type: type[Any], expected: str, nested: bool
) -> None:
    assert expected in problems_of(one_field(object_type) if nested else object_type)


@pytest.mark.parametrize("object_type", [int, "Order", Counted(1), enum.Enum])
def test_an_object_type_that_is_no_dataclass_is_an_error(object_type: object) -> None:
    assert "not a dataclass" in problems_of(object_type)


def test_a_type_that_is_local_to_a_function_is_an_error_with_its_name() -> None:
    class Local(enum.Enum):
        A = 1

    @dataclass
    class Thing:
        it: Local

    assert "a type named 'Local', which isn't found" in problems_of(Thing)


MODULE = """
from __future__ import annotations
from dataclasses import dataclass
from datetime import date

@dataclass
class Base:
    date: date | None = None

@dataclass
class Thing(Base):
    days: list[date] | None = None
"""


@pytest.mark.parametrize("replaced", [True, False])
def test_types_are_resolved_in_the_module_of_the_class(
    monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    module = types.ModuleType("things")
    monkeypatch.setitem(sys.modules, "things", module)
    exec(MODULE, vars(module))
    if replaced:
        monkeypatch.setitem(sys.modules, "things", types.ModuleType("things"))
    else:
        monkeypatch.delitem(sys.modules, "things")
    assert [str(one.type) for one in fields_of(module.Thing)] == [
        "date | None",
        "list[date] | None",
    ]


@pytest.mark.parametrize(
    ("annotation", "default", "expected"),
    [
        (int, None, "Add '| None'"),
        (int, "1", "default of type str, but type int"),
        (int, True, "default of type bool, but type int"),
        (int, 1.0, "default of type float, but type int"),
        (Size, "SMALL", "default of type str, but type Size"),
    ],
)
def test_a_default_of_another_type_is_an_error(annotation, default, expected) -> None:
    with pytest.raises(DefinitionError) as caught:
        fields_of(one_field(annotation, default=default))

    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "default"),
    [
        (float, 0),
        (Annotated[Decimal, Precision(9, 2)], 0),
        (Annotated[Decimal, Precision(9, 2)], decimal.Decimal("1.5")),
        (Size, Size.BIG),
        (int | None, None),
        (bool, False),
    ],
)
def test_a_default_of_an_accepted_type_is_kept(annotation, default) -> None:
    (kept,) = fields_of(one_field(annotation, default=default))

    assert kept.default_value() == default


def test_all_problems_of_an_object_are_listed_at_once() -> None:
    thing = dataclasses.make_dataclass(
        "Thing", [("a", set[int]), ("b", Decimal), ("c", int, None), ("d", int, 1)]
    )

    with pytest.raises(DefinitionError) as caught:
        fields_of(thing)

    assert len(caught.value.problems) == 3
