"""The object that a row step receives behaves like an instance of the user's class."""

from __future__ import annotations

import abc
import copy
import dataclasses
import functools
import pickle
import weakref
from dataclasses import dataclass, field
from typing import Any, ClassVar

import cloudpickle
import pyarrow as pa
import pytest

from batchflow.definition import fields_of
from batchflow.definition.built_whole import is_built_whole
from batchflow.view.object_view import view_type
from batchflow.view.row_columns import RowColumns, SealedColumns


@dataclass
class Address:
    city: str


@dataclass(order=True)
class Order:
    limit: ClassVar[int] = 10
    order_id: str
    subtotal: float
    items: int = 1
    tags: list[str] = field(default_factory=list)
    address: Address | None = None

    @property
    def gross(self) -> float:
        return self.subtotal * 2

    @property
    def dozens(self) -> float:
        return self.items / 12

    @dozens.setter
    def dozens(self, number: int) -> None:
        self.items = number * 12

    @functools.cached_property
    def costly(self) -> float:
        return self.subtotal * 3

    def double(self) -> None:
        self.subtotal *= 2


FIELDS = fields_of(Order)
ROWS = pa.table(
    {
        "order_id": ["a", "b"],
        "subtotal": [1.0, 2.0],
        "items": [3, 4],
        "tags": [["x"], []],
        "address": [{"city": "Bern"}, None],
    }
)
VIEW = view_type(Order, FIELDS)


@pytest.fixture
def columns() -> RowColumns:
    return RowColumns(ROWS, FIELDS)


def make_view(columns: RowColumns, row: int = 0) -> Any:
    view = object.__new__(VIEW)
    view._batchflow_row = row
    view._batchflow_columns = columns
    return view


@pytest.fixture
def order(columns: RowColumns) -> Any:
    return make_view(columns)


def real_order() -> Order:
    return Order("a", 1.0, 3, ["x"], Address("Bern"))


def written(columns: RowColumns) -> dict[str, list[Any]]:
    return {one.name: column.array.to_pylist() for one, column, _ in columns.written()}


def test_a_view_is_an_instance_of_the_users_class(order: Any) -> None:
    assert isinstance(order, Order)
    assert order.__class__ is Order
    assert Order.limit == order.limit == 10


def test_a_view_compares_and_sorts_like_an_instance(columns: RowColumns, order: Any) -> None:
    assert order == real_order()
    assert real_order() == order
    assert order != make_view(columns, 1)
    assert order < make_view(columns, 1)


def test_a_view_has_the_repr_of_an_instance(order: Any) -> None:
    assert repr(order) == repr(real_order())


def test_properties_and_methods_read_and_change_the_fields_of_a_view(
    columns: RowColumns, order: Any
) -> None:
    order.double()
    assert (order.subtotal, order.gross) == (2.0, 4.0)
    assert written(columns) == {"subtotal": [2.0, 2.0]}


def test_dataclass_functions_work_with_a_view(order: Any) -> None:
    assert dataclasses.is_dataclass(order)
    assert dataclasses.asdict(order) == dataclasses.asdict(real_order())
    assert dataclasses.astuple(order) == dataclasses.astuple(real_order())
    changed = dataclasses.replace(order, items=9)
    assert type(changed) is Order
    assert changed == dataclasses.replace(real_order(), items=9)


@pytest.mark.parametrize(
    "duplicate",
    [
        copy.copy,
        copy.deepcopy,
        lambda order: pickle.loads(pickle.dumps(order)),
        lambda order: pickle.loads(cloudpickle.dumps(order)),
    ],
)
def test_a_copy_of_a_view_is_an_independent_instance(
    columns: RowColumns, order: Any, duplicate: Any
) -> None:
    twin = duplicate(order)
    assert type(twin) is Order
    assert twin == real_order()
    twin.items = 100
    assert order.items == 3
    assert written(columns) == {}


def test_a_view_matches_a_class_pattern(order: Any) -> None:
    match order:
        case Order(order_id=name, items=items):
            assert (name, items) == ("a", 3)
        case _:
            pytest.fail("no match")


def test_an_attribute_that_is_no_field_cannot_be_assigned(order: Any) -> None:
    with pytest.raises(AttributeError, match=r"no field 'itmes', .* Did you mean 'items'\?"):
        order.itmes = 5
    with pytest.raises(AttributeError, match="Order has no field 'double'"):
        order.double = 5
    with pytest.raises(AttributeError, match=r"The fields are order_id, subtotal, items, tags, "):
        order.xyz = 5


def test_a_setter_and_a_cache_of_the_class_can_be_used(columns: RowColumns, order: Any) -> None:
    order.dozens = 2
    assert order.items == 24
    assert order.costly == 3.0
    assert weakref.ref(order)() is order
    columns.settle(0)
    columns.take_over(0, order)
    assert written(columns) == {"items": [24, 4]}


def test_the_dict_of_a_view_has_its_fields_and_changes_of_it_are_stored(
    columns: RowColumns, order: Any
) -> None:
    vars(order)["items"] = 7
    assert vars(order).keys() == {"order_id", "subtotal", "items", "tags", "address"}
    assert order.items == 7
    assert type(order) is Order
    assert columns.settle(0)
    columns.take_over(0, order)
    assert written(columns) == {"items": [7, 4]}


def test_a_missing_attribute_is_an_attribute_error(order: Any) -> None:
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = order.nothing_like_it


def test_only_fields_that_are_read_are_converted(columns: RowColumns, order: Any) -> None:
    _ = order.items
    assert [isinstance(column, list) for column in columns.values] == [
        False,
        False,
        True,
        False,
        False,
    ]


def test_a_nested_value_is_the_same_object_each_time_and_changes_in_it_are_stored(
    columns: RowColumns, order: Any
) -> None:
    assert order.tags is order.tags
    order.tags.append("y")
    order.address.city = "Basel"
    columns.settle(0)
    assert written(columns) == {
        "tags": [["x", "y"], None],
        "address": [{"city": "Basel"}, None],
    }


def test_a_nested_value_that_was_only_read_is_not_written(columns: RowColumns, order: Any) -> None:
    assert (order.tags, order.address) == (["x"], Address("Bern"))
    columns.settle(0)
    assert written(columns) == {}


def test_a_list_that_two_runs_share_is_stored_as_it_was_at_the_end_of_each(
    columns: RowColumns,
) -> None:
    shared = ["first"]
    for row in range(2):
        make_view(columns, row).tags = shared
        columns.settle(row)
        shared.append("later")
    assert written(columns) == {"tags": [["first"], ["first", "later"]]}


def test_an_assignment_after_the_step_changes_only_the_object(
    columns: RowColumns, order: Any
) -> None:
    order.items = 5
    order._batchflow_columns = SealedColumns(columns)
    order.items = 6
    order.subtotal = 7.0
    assert (order.items, order.subtotal, order.order_id) == (6, 7.0, "a")
    assert type(order) is Order
    assert written(columns) == {"items": [5, 4]}


def test_a_deleted_field_falls_back_to_its_class_as_on_any_instance(order: Any) -> None:
    del order.items
    assert order.items == 1
    del order.order_id
    with pytest.raises(AttributeError):
        _ = order.order_id


def test_a_column_that_the_step_does_not_read_can_still_be_written() -> None:
    columns = RowColumns(ROWS.select(["order_id"]), FIELDS)
    order = make_view(columns)
    with pytest.raises(LookupError, match="'items' isn't one of the step's columns"):
        _ = order.items
    order.items = 8
    assert order.items == 8
    [(one, column, mask)] = columns.written()
    assert one.name == "items"
    assert mask is not None
    assert mask.tolist() == [True, False]
    assert column.array[0].as_py() == 8
    assert not column.problems


def plain(**body: Any) -> type:
    annotations = {"__annotations__": {"count": int}, **body}
    return type("Plain", (), annotations)


def nothing(*args: Any) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("object_type", "whole"),
    [
        (dataclass(plain()), False),
        (dataclass(plain(method=nothing)), False),
        (dataclass(abc.ABCMeta("Abstract", (), {"__annotations__": {"count": int}})), False),
        (dataclass(frozen=True)(plain()), True),
        (dataclass(slots=True)(plain()), True),
        (dataclass(plain(__post_init__=nothing)), True),
        (dataclass(plain(__setattr__=nothing)), True),
        (dataclass(plain(__getattribute__=nothing)), True),
        (dataclass(plain(__init_subclass__=nothing)), True),
        (dataclass(plain(count=property(nothing))), True),
        (dataclass(init=False)(plain(__init__=nothing)), True),
        (type("Heir", (dataclass(plain()),), {"__init__": nothing}), True),
        (dataclass(type("Meta", (type,), {})("Made", (), {"__annotations__": {}})), True),
    ],
)
def test_a_class_that_a_view_would_bypass_is_built_whole(object_type: type, whole: bool) -> None:
    assert is_built_whole(object_type) is whole
