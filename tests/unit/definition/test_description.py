"""A description holds everything about a workflow but its code, and survives JSON exactly."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from order_kit import Order, OrderStatus, make_orders

from batchflow.definition import UTC, AnyWorkflow, Kind, Precision, Workflow
from batchflow.definition.description import RestoredWorkflow, describe, restore
from batchflow.errors import DefinitionError, StepCodeError
from batchflow.store.schema.layout import Layout
from kit.effort import examples

KEY = uuid.UUID(int=5)


class Status(enum.Enum):
    NEW = 1
    SEEN = 2
    DONE = 3
    ALSO_DONE = 3  # noqa: PIE796 - an alias is no status


class Colour(enum.StrEnum):
    RED = "it's red"
    BLUE = "b"


@dataclass(frozen=True)
class Part:
    count: int
    colour: Colour | None = None
    when: Annotated[dt.datetime, UTC] = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)


@dataclass
class Everything:
    needed: int
    text: str = "ü'\"\\\n\x00"
    member: str = Colour.BLUE
    flag: bool = True
    large: int = 2**63 - 1
    ratio: float = -0.0
    whole: float = 3
    no_number: float = math.nan
    endless: float = -math.inf
    price: Annotated[decimal.Decimal, Precision(18, 2)] = decimal.Decimal("-1.20")
    amount: Annotated[decimal.Decimal, Precision(38)] = 7  # type: ignore[assignment]
    raw: bytes = b"\x00\xff"
    day: dt.date = dt.date(1, 1, 1)
    local: dt.datetime = dt.datetime(9999, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001
    moment: Annotated[dt.datetime, UTC] = dt.datetime(
        2026, 1, 5, tzinfo=dt.timezone(dt.timedelta(hours=-3, seconds=1))
    )
    waits: dt.timedelta = dt.timedelta(days=-400, microseconds=1)
    key: uuid.UUID = KEY
    colour: Colour = Colour.RED
    part: Part = Part(1)
    nothing: list[dict[str, Part | None]] | None = None
    parts: list[Part | None] = field(default_factory=list)
    by_name: dict[str, list[uuid.UUID]] = field(default_factory=dict)


def workflow_of(object_type: type[Any]) -> AnyWorkflow:
    workflow: AnyWorkflow = Workflow("things", object_type, Status)
    workflow.add_step(Status.NEW, lambda run: Status.SEEN, Status.SEEN, Status.NEW)
    workflow.sql_step(Status.SEEN, to=[Status.DONE, Status.SEEN], status="'DONE'")
    return workflow


def again(workflow: AnyWorkflow) -> RestoredWorkflow:
    return restore(json.loads(json.dumps(describe(workflow), allow_nan=False)))


def assert_restored_exactly(workflow: AnyWorkflow) -> None:
    restored = again(workflow)
    restored.check()
    assert describe(restored) == describe(workflow)
    layouts = [Layout(each, 0, each.status_names) for each in (workflow, restored)]
    assert layouts[1].create_statements() == layouts[0].create_statements()
    assert [str(each.type) for each in restored.fields] == [
        str(each.type).rpartition("<locals>.")[2] for each in workflow.fields
    ]


def test_every_kind_of_field_is_restored_exactly() -> None:
    kinds = {each.type.kind for each in workflow_of(Everything).fields}
    assert kinds == set(Kind)
    assert_restored_exactly(workflow_of(Everything))


def test_defaults_are_restored_as_values_of_the_fields_types() -> None:
    restored = again(workflow_of(Everything))
    made, wanted = restored.object_type(needed=1), Everything(1)
    assert restored.field("needed").required
    for each in dataclasses.fields(Everything):
        value, expected = getattr(made, each.name), getattr(wanted, each.name)
        if each.name == "colour":
            assert value.name == expected.name
        elif each.name == "part":
            assert (value.count, value.colour, value.when) == (1, None, Part(1).when)
        elif each.name == "no_number":
            assert math.isnan(value)
        else:
            assert repr(value) == repr(expected) or value == expected
    assert math.copysign(1, made.ratio) == -1
    assert type(made.whole) is int
    assert made.parts is not restored.object_type(needed=1).parts


def test_a_default_that_code_computes_is_refused_when_it_is_used() -> None:
    @dataclass
    class Keyed:
        key: uuid.UUID = field(default_factory=uuid.uuid4)
        tags: list[str] = field(default_factory=lambda: ["new"])

    workflow = workflow_of(Keyed)
    assert_restored_exactly(workflow)
    restored = again(workflow)
    assert not restored.field("key").required
    with pytest.raises(DefinitionError, match=r"'key' is computed by .* load through an engine"):
        restored.field("key").default_value()
    with pytest.raises(DefinitionError, match="'tags' is computed"):
        restored.object_type(key=uuid.UUID(int=1))


def test_a_default_that_fits_no_column_counts_as_computed() -> None:
    @dataclass
    class Odd:
        part: Part = Part("one")  # type: ignore[arg-type]
        day: dt.date = dt.datetime(2026, 1, 5, 12)  # noqa: DTZ001

    fields = describe(workflow_of(Odd))["object"]["fields"]
    assert [each["default"] for each in fields] == [{"computed": True}] * 2
    assert_restored_exactly(workflow_of(Odd))


def test_the_graph_and_the_names_of_steps_are_restored() -> None:
    orders = make_orders()
    restored = again(orders)
    assert restored.name == orders.name
    assert restored.status_names == orders.status_names
    assert restored.graph.edges == orders.graph.edges
    assert list(restored.steps) == list(orders.steps)
    assert restored.starting_codes == orders.starting_codes
    assert restored.terminal_codes == orders.terminal_codes
    assert restored.mermaid() == orders.mermaid()
    described = [(step.name, step.kind) for step in restored.steps.values()]
    assert described == [(step.name, step.kind) for step in orders.steps.values()]


@pytest.mark.parametrize("recorded", [True, False])
def test_whether_transitions_are_recorded_is_restored(recorded: bool) -> None:
    workflow: AnyWorkflow = Workflow("orders", Order, OrderStatus, record_transitions=recorded)
    workflow.sql_step(OrderStatus.CREATED, to=OrderStatus.PAID)
    assert again(workflow).record_transitions is recorded
    assert_restored_exactly(workflow)


def test_a_restored_step_refuses_to_be_executed() -> None:
    restored = again(make_orders())
    row, batch, sql = restored.steps.values()
    for step in (row, batch):
        assert step.function is not None
        with pytest.raises(StepCodeError, match="without the code of its steps"):
            step.function(None)
    assert "without the code of its steps" in str(sql.status_expression)
    assert not sql.set_expressions


def test_equal_types_become_one_class() -> None:
    @dataclass
    class Both:
        first: Part
        second: list[Part]
        status: Status

    restored = again(workflow_of(Both))
    first, second, status = (each.type for each in restored.fields)
    assert first.python is second.child("item").python
    assert status.python is restored.status_type


NAMES = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,8}", fullmatch=True).map(lambda n: f"f_{n.lower()}")
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6)
NAIVE = st.datetimes()


class Typed(NamedTuple):
    """An annotation, and the values of its type."""

    annotation: Any
    values: st.SearchStrategy[Any]


@st.composite
def decimals(draw: Callable[..., Any]) -> Typed:
    digits = draw(st.integers(1, 38))
    scale = draw(st.integers(0, digits))
    number = st.integers(-(10**digits) + 1, 10**digits - 1)
    values = number.map(lambda n: decimal.Decimal(n).scaleb(-scale))
    return Typed(Annotated[decimal.Decimal, Precision(digits, scale)], values)


@st.composite
def enums(draw: Callable[..., Any]) -> Typed:
    names = draw(st.lists(TEXTS.filter(_may_be_a_member), min_size=1, max_size=3, unique=True))
    made: Any = enum.Enum
    members = made(draw(TEXTS), [(name, object()) for name in names])
    return Typed(members, st.sampled_from(members))


def _may_be_a_member(name: str) -> bool:
    return name != "mro" and not name.startswith("_")


@st.composite
def structs(draw: Callable[..., Any], parts: st.SearchStrategy[Typed]) -> Typed:
    fields = draw(st.dictionaries(NAMES, parts, min_size=1, max_size=3))
    declared = [(name, typed.annotation) for name, typed in fields.items()]
    made = dataclasses.make_dataclass(draw(NAMES), declared, frozen=True)
    return Typed(made, st.builds(made, **{name: typed.values for name, typed in fields.items()}))


def lists(typed: Typed) -> Typed:
    return Typed(list[typed.annotation], st.lists(typed.values, max_size=2))


def maps(typed: Typed) -> Typed:
    return Typed(dict[str, typed.annotation], st.dictionaries(TEXTS, typed.values, max_size=2))


def optional(typed: Typed) -> Typed:
    return Typed(typed.annotation | None, st.none() | typed.values)


SCALARS = st.sampled_from(
    [
        Typed(bool, st.booleans()),
        Typed(int, st.integers(-(2**63), 2**63 - 1)),
        Typed(float, st.floats() | st.integers(-(2**70), 2**70)),
        Typed(str, st.text()),
        Typed(bytes, st.binary()),
        Typed(dt.date, st.dates()),
        Typed(dt.datetime, NAIVE),
        Typed(Annotated[dt.datetime, UTC], st.datetimes(timezones=st.just(dt.UTC))),
        Typed(dt.timedelta, st.timedeltas()),
        Typed(uuid.UUID, st.uuids()),
    ]
)
TYPES: st.SearchStrategy[Typed] = st.recursive(
    SCALARS | decimals() | enums(),
    lambda inner: inner.map(lists) | inner.map(maps) | inner.map(optional) | structs(inner),
    max_leaves=4,
)


@st.composite
def fields_of_an_object(draw: Callable[..., Any]) -> type[Any]:
    declared: list[tuple[Any, ...]] = []
    for name, typed in draw(st.dictionaries(NAMES, TYPES, min_size=1, max_size=6)).items():
        default: dict[str, Any] = {}
        if draw(st.booleans()):
            value = draw(typed.values)
            factory = draw(st.sampled_from([None, list, dict, str, uuid.uuid4]))
            nested = not _can_be_hashed(value)
            default = {"default_factory": factory or list} if nested or factory else {}
            default = default or {"default": value}
        declared.append((name, typed.annotation, field(kw_only=True, **default)))
    return dataclasses.make_dataclass("Thing", declared)


def _can_be_hashed(value: Any) -> bool:
    return type(value).__hash__ is not None


@examples(25)
@given(fields_of_an_object())
def test_whatever_a_workflow_carries_is_restored_exactly(object_type: type[Any]) -> None:
    assert_restored_exactly(workflow_of(object_type))
