"""A SQL expression gives a field what a Python step may give it, exactly, or fails its run."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import duckdb
import pytest

import batchflow as bf
from batchflow.definition.field_type import SCALARS, FieldType
from batchflow.store.runs.exact_values import ExactValue, checked_cast
from batchflow.testing import inline_engine

KEY = UUID(int=1)


class Stage(enum.Enum):
    NEW = 1
    DONE = 2


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclass
class Part:
    size: int
    name: str | None = None

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ArithmeticError(self.size)


@dataclass
class Thing:
    row: int
    half: float = 0.5
    whole: int = 0
    maybe: int | None = None
    ratio: float = 0.0
    price: Annotated[Decimal, bf.Precision(9, 2)] = Decimal(0)
    name: str = "a"
    flag: bool = False
    raw: bytes = b""
    day: dt.date = dt.date(2024, 1, 1)
    local: dt.datetime = dt.datetime(2024, 1, 1)  # noqa: DTZ001
    at: Annotated[dt.datetime, bf.UTC] = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    took: dt.timedelta = dt.timedelta()
    key: UUID = KEY
    colour: Colour = Colour.RED
    part: Part = field(default_factory=lambda: Part(1))
    sizes: list[int] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    boxes: list[dict[str, str]] = field(default_factory=list)


# For the run with row 1; the others get the field's present value.
REFUSED = {
    "whole": [
        ("1.7", "Decimal"),
        ("1.7::DOUBLE", "a float64"),
        ("'nan'::DOUBLE", "a float64"),
        ("9007199254740993::DOUBLE", "a float64"),
        ("1e30::DOUBLE", "a float64"),
        ("9223372036854775808", "range|convert"),
        ("'7'", "a str"),
        ("true", "a bool"),
        ("NULL", "NULL"),
    ],
    "ratio": [("'1'", "a str"), ("9007199254740993", "an int"), ("true", "a bool"),
              ("1234567890.12345678901", "a Decimal")],
    "price": [("1.555", "a Decimal"), ("1.5::DOUBLE", "a float"), ("'1'", "a str"),
              ("12345678.5", "a Decimal|range|convert")],
    "name": [("1", "an int"), ("NULL", "NULL"), ("now()", "a datetime")],
    "flag": [("1", "an int"), ("'true'", "a str")],
    "raw": [("'x'", "a str")],
    "day": [("'2024-01-01'", "a str"), ("TIMESTAMP '2024-01-01 10:00:00'", "timestamp|datetime"),
            ("DATE '10000-01-01'", "date"), ("DATE 'infinity'", "date")],
    "local": [("now()", "time zone"), ("TIMESTAMP_NS '2024-01-01 00:00:00.000000001'", "."),
              ("TIMESTAMP 'infinity'", ".")],
    "at": [("TIMESTAMP '2024-01-01'", "naive")],
    "took": [("5", "an int"), ("INTERVAL 300000 YEARS", ".")],
    "key": [("'00000000-0000-0000-0000-000000000001'", "a str")],
    "colour": [("'GREEN'", "."), ("1", "an int")],
    "part": [("{'size': 1.5, 'name': 'x'}", "."), ("{'size': NULL, 'name': 'x'}", "None"),
             ("{'size': 1}", "a dict")],
    "sizes": [("[1.5]", "."), ("[NULL]::BIGINT[]", "None"), ("['1']", "a str")],
    "labels": [("[DATE 'infinity']", "OverflowError"), ("MAP {[]: 'a'}", "TypeError")],
}  # fmt: skip
CASES = [(name, *case) for name, cases in REFUSED.items() for case in cases]
ACCEPTED: list[tuple[str, str, Any]] = [
    ("whole", "3.0", 3),
    ("whole", "half * 4", 2),
    ("whole", "round(half * 5)", 3),
    ("whole", "length(name)", 1),
    ("whole", "9223372036854775807", 2**63 - 1),
    ("whole", "7::HUGEINT", 7),
    ("maybe", "NULL", None),
    ("maybe", "CASE WHEN row = 1 THEN 5.0 END", 5),
    ("ratio", "1.08", 1.08),
    ("ratio", "row", 1.0),
    ("ratio", "half::FLOAT", 0.5),
    ("ratio", "1234567890123456.5", 1234567890123456.5),
    ("price", "1.5", Decimal("1.5")),
    ("price", "price * 1.50", Decimal(0)),
    ("price", "1.500", Decimal("1.5")),
    ("price", "7", Decimal(7)),
    ("name", "colour", "RED"),
    ("name", "upper(name)", "A"),
    ("day", "DATE '9999-12-31'", dt.date(9999, 12, 31)),
    ("local", "TIMESTAMP_MS '2024-01-02'", dt.datetime(2024, 1, 2)),  # noqa: DTZ001
    ("at", "TIMESTAMPTZ '2024-01-02 01:00:00+01'", dt.datetime(2024, 1, 2, tzinfo=dt.UTC)),
    ("took", "INTERVAL 36 HOURS", dt.timedelta(hours=36)),
    ("took", "local - TIMESTAMP '2023-12-31'", dt.timedelta(days=1)),
    ("colour", "'BLUE'", Colour.BLUE),
    ("part", "{'name': 'x', 'size': 2}", Part(2, "x")),
    ("sizes", "[1, 2]", [1, 2]),
    ("sizes", "list_append(sizes, row)", [1]),
    ("sizes", "[]", []),
    ("labels", "MAP {}", {}),
    ("boxes", "[MAP {}]", [{}]),
]


@pytest.fixture(scope="module")
def engine() -> Iterator[bf.Engine]:
    """Open a store whose runs are edited and never executed."""
    workflow = bf.Workflow("things", Thing, Stage)
    workflow.sql_step(Stage.NEW, to=Stage.DONE)
    with inline_engine(workflow) as opened:
        yield opened


@pytest.mark.parametrize(("name", "sql", "found"), CASES)
def test_an_edit_refuses_a_value_that_a_step_could_not_leave(
    engine: bf.Engine, name: str, sql: str, found: str
) -> None:
    run_id = engine.trigger(f"{name} {sql}", Thing(1))
    with pytest.raises(bf.QueryError, match=found) as caught:
        engine.edit(run_ids=[run_id], set={name: sql})
    assert "nothing was changed" in str(caught.value)
    assert engine.get(run_id).object == Thing(1)


@pytest.mark.parametrize(("name", "sql", "value"), ACCEPTED)
def test_an_edit_stores_an_exact_value(engine: bf.Engine, name: str, sql: str, value: Any) -> None:
    run_id = engine.trigger(f"{name} {sql}", Thing(1))
    engine.edit(run_ids=[run_id], set={name: sql})
    assert getattr(engine.get(run_id).object, name) == value


def test_a_refused_edit_names_the_field_the_number_of_runs_and_one_of_them(
    engine: bf.Engine,
) -> None:
    ids = [engine.trigger(f"named {row}", Thing(row)) for row in range(3)]
    with pytest.raises(bf.QueryError) as caught:
        engine.edit(run_ids=ids, set={"whole": "CASE WHEN row > 0 THEN 1.7 ELSE 1 END"})
    assert str(caught.value) == (
        "The value of 'whole' doesn't fit the field, which takes int, and nothing was changed: it "
        f"is a Decimal for 2 runs, such as {ids[1]}."
    )


# Each for the run with row 1, and in a type that leaves its neighbours what fits.
IN_STEPS = {
    "whole": "CASE WHEN row = 1 THEN 1.7 ELSE row END",
    "maybe": "CASE WHEN row = 1 THEN half + 1.2 ELSE row END",
    "ratio": "CASE WHEN row = 1 THEN 9007199254740993 ELSE row END",
    "price": "CASE WHEN row = 1 THEN 1.555 ELSE 1.5 END",
    "day": "CASE WHEN row = 1 THEN DATE '10000-01-01' ELSE day END",
    "local": "CASE WHEN row = 1 THEN TIMESTAMP 'infinity' ELSE local END",
    "at": "CASE WHEN row = 1 THEN TIMESTAMPTZ '10000-01-02' ELSE \"at\" END",
    "took": "CASE WHEN row = 1 THEN INTERVAL 300000 YEARS ELSE took END",
    "colour": "CASE WHEN row = 1 THEN 'GREEN' ELSE 'BLUE' END",
    "part": "CASE WHEN row = 1 THEN {'size': NULL, 'name': 'x'} ELSE {'size': 2, 'name': 'x'} END",
    "sizes": "CASE WHEN row = 1 THEN [NULL] ELSE [row] END",
    "flag": "CASE WHEN row = 1 THEN NULL ELSE true END",
}
VOLATILE = {"whole": f"{IN_STEPS['whole']} + (random() * 0)::INTEGER"}
# The class of the field refuses the value, when its instance is made.
RAISING = {
    "part": "{'size': CASE WHEN row = 1 THEN -1 ELSE 2 END, 'name': name}"
    "::STRUCT(size BIGINT, name VARCHAR)"
}


@pytest.mark.parametrize(("name", "sql"), [*IN_STEPS.items(), *VOLATILE.items(), *RAISING.items()])
def test_a_sql_step_fails_only_the_runs_with_values_that_do_not_fit(name: str, sql: str) -> None:
    workflow = bf.Workflow("things", Thing, Stage, retry=bf.Retry(pause_after=1))
    workflow.sql_step(Stage.NEW, to=Stage.DONE, set={name: sql})
    with inline_engine(workflow) as engine:
        engine.trigger_many([Thing(row) for row in range(3)], foreign_id="row")
        engine.run()
        found = engine.runs().order("row").select("status, run_state").fetchall()
        assert found == [("DONE", "COMPLETED"), ("NEW", "PAUSED"), ("DONE", "COMPLETED")]
        assert getattr(engine.get("1").object, name) == getattr(Thing(1), name)
        [(kind, message)] = engine.errors().select("type, message").fetchall()
        assert kind in ("InvalidObject", "ConversionException")
        if kind == "InvalidObject":
            assert message.startswith(f"Step 'sql:NEW' set field '{name}' to ")


def test_a_sql_step_stores_an_empty_map_without_a_type() -> None:
    workflow = bf.Workflow("things", Thing, Stage)
    workflow.sql_step(Stage.NEW, to=Stage.DONE, set={"labels": "MAP {}"})
    with inline_engine(workflow) as engine:
        engine.trigger("a", Thing(1, labels={"a": "b"}))
        engine.run()
        assert (engine.get("a").status, engine.get("a").object.labels) == (Stage.DONE, {})
        assert engine.sql("SELECT MAP {} AS empty").to_arrow_table()["empty"].to_pylist() == [[]]


def test_a_text_that_is_too_long_is_not_cast_in_place() -> None:
    value = ExactValue(SCALARS[str], "repeat('x', size)", "VARCHAR")
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE texts AS SELECT 67108864 AS size")
        checked = checked_cast(connection, "texts", value, {})
        connection.execute(f"SELECT count({checked}) FROM texts")
        connection.execute("UPDATE texts SET size = size + 1")
        with pytest.raises(duckdb.InvalidInputException, match="inexact"):
            connection.execute(f"SELECT count({checked}) FROM texts")


@pytest.mark.parametrize(
    ("field_type", "sql_type", "fits", "does_not_fit"),
    [
        (SCALARS[float], "DECIMAL(21,1)", "12345678901234.5", "12345678901234567.8"),
        (SCALARS[float], "BIGINT", "9007199254740992", "9007199254740993"),
        (SCALARS[int], "DECIMAL(21,1)", "7.0", "7.5"),
    ],
    ids=["a number times a decimal", "an integer for a float", "a decimal for an integer"],
)
def test_sql_decides_which_numbers_are_exact(
    field_type: FieldType, sql_type: str, fits: str, does_not_fit: str
) -> None:
    value = ExactValue(field_type, "number", sql_type)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE numbers AS SELECT {fits}::{sql_type} AS number")
        checked = checked_cast(connection, "numbers", value, {})
        [(stored,)] = connection.execute(f"SELECT {checked} FROM numbers").fetchall()
        assert stored == field_type.python(fits.removesuffix(".0"))
        connection.execute(f"UPDATE numbers SET number = {does_not_fit}")
        with pytest.raises(duckdb.InvalidInputException, match="inexact"):
            connection.execute(f"SELECT {checked} FROM numbers").fetchall()


@dataclass
class Cost:
    price: Annotated[Decimal, bf.Precision(9, 2)] | None
    took: dt.timedelta | None
    at: Annotated[dt.datetime, bf.UTC] | None


@dataclass
class Costs:
    one: Cost
    many: dict[str, list[Cost | None]]


def test_a_nested_value_keeps_types_that_the_database_names_in_another_way() -> None:
    cost = Cost(Decimal("1.50"), dt.timedelta(hours=1), dt.datetime(2030, 1, 1, tzinfo=dt.UTC))
    costs = Costs(cost, {"a": [cost, None]})
    workflow = bf.Workflow("costs", Costs, Stage)
    same = {"one": "one", "many": "many"}
    workflow.sql_step(Stage.NEW, to=[Stage.DONE], set=same, status=Stage.DONE)
    with inline_engine(workflow) as engine:
        run_id = engine.trigger("a", costs)
        engine.run()
        assert (engine.get(run_id).status, engine.get(run_id).object) == (Stage.DONE, costs)
