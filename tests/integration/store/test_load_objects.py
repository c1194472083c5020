"""Objects of the user's class, of a restored class, and mappings are loaded alike, also if sent."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import asdict, dataclass, make_dataclass
from typing import Any

import pyarrow as pa
import pytest
from loading_kit import Item, Loader, opened, workflow_of
from test_load_values import Everything, Inner, columns_of, everything

from batchflow.definition.description import describe, restore
from batchflow.errors import InvalidRowsError, LoadError, SourceError
from batchflow.store.loading.source_objects import ObjectStream
from batchflow.store.loading.trigger import object_row


def sent(object_type: type[Any], objects: Any, foreign_id: str = "name") -> pa.RecordBatchReader:
    """Return objects as another process sends them, which knows the workflow by its description."""
    restored = restore(describe(workflow_of(object_type)))
    stream = ObjectStream(restored, objects, foreign_id).reader()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, stream.schema) as writer:
        for batch in stream:
            writer.write_batch(batch)
    return pa.ipc.open_stream(sink.getvalue())


def test_objects_with_every_type_are_stored_alike_if_they_are_sent() -> None:
    with opened(Everything) as here, opened(Everything) as there:
        here.load([everything()], foreign_id="key")
        there.load(sent(Everything, [everything()], "key"), foreign_id="key")

        assert here.query(columns_of(here)) == there.query(columns_of(there))


def as_mapping(given: Everything) -> dict[str, Any]:
    return {
        **asdict(given),
        "colour": given.colour.name,
        "items": [Inner(2), {"x": 3, "y": ""}],
    }


def test_a_mapping_is_stored_as_the_object_with_its_values() -> None:
    with opened(Everything) as here, opened(Everything) as there:
        here.load([everything()], foreign_id="key")
        there.load(sent(Everything, [as_mapping(everything())], "key"), foreign_id="key")
        here.load([{**as_mapping(everything()), "key": "other"}], foreign_id="key")

        [first, second] = here.query(columns_of(here))
        assert [first] == there.query(columns_of(there))
        assert second == {**first, "key": "other"}


@pytest.mark.parametrize("given", [list, lambda: iter([]), lambda: sent(Everything, [], "own id")])
def test_no_objects_are_an_empty_load_whatever_their_foreign_ids_are_called(given: Any) -> None:
    with opened(Everything) as here:
        assert here.load(given(), foreign_id="own id").loaded == 0


def test_one_object_becomes_the_same_row_from_each_class() -> None:
    workflow = workflow_of(Everything)
    restored = restore(describe(workflow))

    row = object_row(workflow, everything())

    assert object_row(restored, everything()) == row
    assert object_row(restored, as_mapping(everything())) == row
    assert object_row(workflow, as_mapping(everything())) == row


@dataclass
class SpecialItem(Item):
    extra: int = 0


def test_objects_of_several_classes_keep_their_order(loader: Loader) -> None:
    objects = [Item("a", 1.0), {"name": "b", "price": 2.0, "count": 5}, SpecialItem("c", 3.0)]

    loader.load(sent(Item, objects))

    assert loader.column("name") == ["a", "b", "c"]
    assert loader.column("count") == [1, 5, 1]


@pytest.mark.parametrize("send", [False, True])
def test_values_that_do_not_fit_are_refused_alike(loader: Loader, send: bool) -> None:
    wrong: list[Any] = [Item("a", 1.0), Item("b", "2"), {"name": "c"}]  # type: ignore[arg-type]

    with pytest.raises(InvalidRowsError) as caught:
        loader.load(sent(Item, wrong) if send else wrong)

    assert str(caught.value).startswith(
        "The list has rows that don't fit, so nothing was loaded: 2 rows of column 'price' don't "
        "fit float (row 2: 'b' is a str, row 3: 'c' is no value)."
    )
    report = loader.load(sent(Item, wrong) if send else wrong, on_invalid="skip")
    assert (report.loaded, report.skipped_invalid) == (1, 2)


Colour = enum.Enum("Colour", ["RED", "GREEN"])


@pytest.mark.parametrize(
    "changed",
    [
        {"colour": Colour["GREEN"]},
        {"inner": make_dataclass("Inner", ["x", "z"])(1, None)},
        {"inner": make_dataclass("Other", ["x", "y"])(1, None)},
        {"inner": make_dataclass("Inner", ["x", "y"])("1", None)},
        {"items": [Inner(1), None]},
        {"table": {"a": "b"}},
        {"number": "1"},
    ],
)
def test_a_restored_class_takes_no_more_than_the_original(changed: dict[str, Any]) -> None:
    given = everything()
    vars(given).update(changed)
    workflow = workflow_of(Everything)

    for known in (workflow, restore(describe(workflow))):
        with pytest.raises(InvalidRowsError, match=f"field '{next(iter(changed))}' is"):
            object_row(known, given)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"x": 1, "z": 2}, "a dict with the unknown key 'z'"),
        ({"X": 1}, r"a dict with the unknown key 'X' \(did you mean 'x'\?\)"),
        ({"y": "no x"}, "a dict without the key 'x'"),
        ({"x": "1"}, "a str as 'x'"),
        ("x", "a str"),
    ],
)
def test_a_mapping_that_is_no_nested_object_does_not_fit(value: Any, found: str) -> None:
    given = {**as_mapping(everything()), "inner": value}

    with pytest.raises(InvalidRowsError, match=f"field 'inner' is {found} instead of Inner"):
        object_row(workflow_of(Everything), given)


def test_names_of_members_are_for_mappings_only() -> None:
    given = everything()
    given.colour = "BLUE"  # type: ignore[assignment]

    with pytest.raises(InvalidRowsError, match="field 'colour' is a str instead of Colour"):
        object_row(workflow_of(Everything), given)
    with pytest.raises(InvalidRowsError, match="field 'colour' is a str instead of Colour"):
        object_row(workflow_of(Everything), {**as_mapping(everything()), "colour": "b"})


def test_mappings_may_have_the_foreign_id_besides_the_fields(loader: Loader) -> None:
    rows: list[Any] = [
        {"order_id": "x", "name": "a", "price": 1.0},
        {"order_id": 7, "name": "b", "price": 2.0},
        {"order_id": 1.5, "name": "c", "price": 3.0},
        {"name": "d", "price": 4.0},
        Item("e", 5.0),
    ]

    report = loader.load(sent(Item, rows, "order_id"), foreign_id="order_id", on_invalid="skip")

    assert loader.column("foreign_id") == ["x", "7"]
    [invalid] = report.invalid
    assert str(invalid) == (
        "3 rows of column 'order_id' don't fit a foreign id (row 3, row 4, row 5)"
    )


def test_a_key_that_is_not_a_field_is_refused(loader: Loader) -> None:
    rows = [{"name": "a", "price": 1.0}, {"name": "b", "price": 1.0, "colour": "red"}]

    with pytest.raises(SourceError, match="Item 2 of the source has the key 'colour', which is"):
        loader.load(rows)
    with pytest.raises(LoadError, match="this one has the key 'colour', which is not a field"):
        loader.trigger("k", rows[1])


@pytest.mark.parametrize("after", [0, 1, 40_000])
def test_an_iterable_that_fails_raises_where_it_is_read(loader: Loader, after: int) -> None:
    def failing() -> Iterator[Item]:
        for n in range(after):
            yield Item(f"n{n}", 1.0)
        raise OSError("lost the connection")

    for read in (lambda: sent(Item, failing()), lambda: loader.load(failing())):
        with pytest.raises(SourceError, match="The generator failed with OSError") as caught:
            read()
        assert isinstance(caught.value.__cause__, OSError)
    assert loader.column("seq") == []


def test_a_table_with_the_column_of_misfits_is_a_table_like_others(loader: Loader) -> None:
    table = pa.table({"name": ["a"], "price": [1.0], "#misfit": pa.array([0], pa.int16())})

    assert loader.load(table).loaded == 1
