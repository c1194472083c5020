from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loading_kit import Item, Loader, Stage, opened, workflow_of

from batchflow.definition.fields import Precision
from batchflow.definition.workflow import Workflow
from batchflow.errors import DefinitionError, InvalidOptionError, LoadError, SourceError
from batchflow.operation.requests import TriggerMany
from batchflow.store.loading.starting_point import starting_code


@dataclass
class Defaults:
    key: str
    when: dt.datetime = dt.datetime(2024, 5, 6, 7, 8, 9, 10)  # noqa: DTZ001 - naive on purpose
    amount: Annotated[Decimal, Precision(18, 2)] = Decimal("1.50")
    item: Item = field(default_factory=lambda: Item("it's", 2.5))
    tags: list[str] = field(default_factory=lambda: ["a", "b"])
    extra: dict[str, int] = field(default_factory=dict)
    stage: Stage = Stage.PAID
    nothing: int | None = None


@dataclass
class Clashing:
    status: str
    Price: float
    foreign_id: int = 0


def test_missing_columns_take_their_defaults() -> None:
    with opened(Defaults) as loader:
        loader.load(pa.table({"key": ["a", "b"]}), foreign_id="key")

        columns = "when, amount, item, tags, extra, stage, nothing".replace("when", '"when"')
        rows = loader.query(f"SELECT {columns} FROM items.runs")
    assert rows == 2 * [
        {
            "when": dt.datetime(2024, 5, 6, 7, 8, 9, 10),  # noqa: DTZ001 - naive on purpose
            "amount": Decimal("1.50"),
            "item": {"name": "it's", "price": 2.5, "count": 1, "note": None},
            "tags": ["a", "b"],
            "extra": [],
            "stage": "PAID",
            "nothing": None,
        }
    ]


@dataclass
class Counted:
    key: str
    number: int = field(default_factory=itertools.count(1).__next__)


def test_a_default_factory_is_called_once_per_run(tmp_path: Path) -> None:
    def numbers(rows: list[str], *files: str) -> list[int]:
        for name in files:
            table = pa.table({"key": rows, "number": [0] * len(rows)})
            columns = ["key"] if "lacks" in name else ["key", "number"]
            pq.write_table(table.select(columns), tmp_path / name)
            rows = [f"{key}{key}" for key in rows]
        source = str(tmp_path / "*.parquet") if files else pa.table({"key": rows})
        with opened(Counted) as loader:
            loader.load(source, foreign_id="key", on_conflict="skip")
            return loader.column("number")

    first = numbers(["a"])[0]
    assert numbers(["a", "b", "a"]) == [first + 1, first + 2]
    assert numbers(["a", "b"], "lacks.parquet", "other.parquet") == [first + 3, first + 4, 0, 0]


def test_a_default_that_does_not_fit_its_field_is_refused() -> None:
    @dataclass
    class Wrong:
        key: str
        number: int = field(default_factory=lambda: "many")

    with (
        opened(Wrong) as loader,
        pytest.raises(LoadError, match="'number' is a str instead of int"),
    ):
        loader.load(pa.table({"key": ["a"]}), foreign_id="key")


def test_one_error_names_all_missing_required_columns(loader: Loader) -> None:
    with pytest.raises(SourceError) as caught:
        loader.load(pa.table({"id": ["a"]}), foreign_id="key")

    for part in ("'name', 'price'", "no column 'key'", "its columns are 'id'"):
        assert part in str(caught.value)


def test_names_match_without_regard_to_case(loader: Loader) -> None:
    loader.load(pa.table({"NAME": ["a"], "Price": [2.0]}), foreign_id="Name")

    assert loader.column("name") == ["a"]
    assert loader.column("foreign_id") == ["a"]
    assert loader.column("price") == [2.0]


def test_extra_columns_are_ignored(loader: Loader) -> None:
    source = pa.table({"name": ["a"], "price": [1.0], "other": [1], "seq": [77]})

    assert loader.load(source).loaded == 1
    assert loader.column("seq") == [0]


def test_extra_columns_are_refused_if_strict_is_true(loader: Loader) -> None:
    source = pa.table({"key": ["k"], "name": ["a"], "price": [1.0], "a": [1], "b": [2]})

    with pytest.raises(SourceError, match="has 'a', 'b', which are not fields"):
        loader.load(source, foreign_id="key", strict=True)
    assert loader.load(source.drop(["a", "b"]), foreign_id="key", strict=True).loaded == 1


def test_the_default_column_of_foreign_ids_is_foreign_id(loader: Loader) -> None:
    source = pa.table({"foreign_id": ["k"], "name": ["a"], "price": [1.0]})

    loader.load(source, foreign_id=None, strict=True)

    assert loader.column("foreign_id") == ["k"]


def test_the_error_for_a_missing_foreign_id_names_the_option(loader: Loader) -> None:
    with pytest.raises(SourceError, match=r"no column 'foreign_id' \(name .* with foreign_id=\)"):
        loader.load([Item("a", 1.0)], foreign_id=None)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (pa.array([1, 22], pa.int8()), ["1", "22"]),
        (pa.array([1, 2**64 - 1], pa.uint64()), ["1", "18446744073709551615"]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (
            pa.array([bytes(16), b"\xff" * 16], pa.uuid()),
            [f"{'0' * 8}-0000-0000-0000-{'0' * 12}", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
        ),
    ],
)
def test_foreign_ids_become_text(loader: Loader, keys: pa.Array, expected: list[str]) -> None:
    loader.load(pa.table({"key": keys, "name": ["a", "b"], "price": [1.0, 2.0]}), foreign_id="key")

    assert loader.column("foreign_id") == expected


@pytest.mark.parametrize("keys", [pa.array([1.5]), pa.array([b"x"]), pa.array([[1]])])
def test_foreign_ids_of_other_types_are_refused(loader: Loader, keys: pa.Array) -> None:
    source = pa.table({"key": keys, "name": ["a"], "price": [1.0]})

    with pytest.raises(SourceError, match="foreign id is a text or an integer"):
        loader.load(source, foreign_id="key")


def test_fields_that_share_a_name_with_the_engine_keep_their_own_column() -> None:
    source = pa.table({"status": ["x"], "price": [1.0], "foreign_id": [7]})

    with opened(Clashing) as loader:
        loader.load(source, foreign_id=None)

        row = loader.query(
            'SELECT status, object_status, "Price", foreign_id, object_foreign_id FROM items.runs'
        )[0]
    assert row == {
        "status": "CREATED",
        "object_status": "x",
        "Price": 1.0,
        "foreign_id": "7",
        "object_foreign_id": 7,
    }


def test_column_names_may_need_quoting(loader: Loader) -> None:
    odd = 'a "b"; DROP TABLE x --'
    source = pa.table({odd: ["k"], "name": ["a"], "price": [1.0], "item_1": [1], "": [2]})

    loader.load(source, foreign_id=odd)

    assert loader.column("foreign_id") == ["k"]


def test_one_error_names_all_columns_of_other_types(loader: Loader) -> None:
    source = pa.table({"name": pa.array([["x"]]), "price": pa.array([True]), "key": ["k"]})

    with pytest.raises(SourceError) as caught:
        loader.load(source, foreign_id="key")

    assert "'name' is VARCHAR[]" in str(caught.value)
    assert "'price' is BOOLEAN" in str(caught.value)


def test_runs_begin_at_the_given_status(loader: Loader) -> None:
    report = loader.load([Item("a", 1.0)], at=Stage.PAID)
    again = loader.load([Item("b", 1.0)], at="PAID")

    assert (report.code, report.status, again.code) == (1, "PAID", 1)
    assert loader.column("status") == ["PAID", "PAID"]


def test_runs_cannot_begin_at_a_status_without_a_step(loader: Loader) -> None:
    with pytest.raises(LoadError, match=r"has no step at DONE.* one of CREATED, PAID"):
        loader.load([Item("a", 1.0)], at=Stage.DONE)


def test_an_unknown_status_is_refused(loader: Loader) -> None:
    with pytest.raises(DefinitionError):
        loader.load([Item("a", 1.0)], at="NOWHERE")


def test_a_workflow_with_several_starting_points_needs_at() -> None:
    workflow: Workflow[Any, Any] = Workflow("two", Item, Stage)
    workflow.add_step(Stage.CREATED, lambda run: Stage.DONE, Stage.DONE)
    workflow.add_step(Stage.PAID, lambda run: Stage.DONE, Stage.DONE)

    with pytest.raises(LoadError, match=r"2 starting points \(CREATED, PAID\)"):
        starting_code(workflow, None)
    assert starting_code(workflow_of(Item), None) == 0


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("on_conflict", "ignore", '"skip" or "update" or "error"'),
        ("on_invalid", "refuse", '"skip" or "error"'),
        ("strict", 1, "True or False"),
        ("foreign_id", 1, "a column's name"),
    ],
)
def test_values_that_an_option_does_not_allow_are_refused(
    option: str, value: object, allowed: str
) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        TriggerMany(source=[], **{option: value})
    assert str(caught.value) == f"{option} is {value!r}; give {allowed}."
    assert caught.value.option == option


def test_parquet_with_narrower_types_is_loaded(loader: Loader, tmp_path: Path) -> None:
    table = pa.table(
        {
            "name": ["a", "b"],
            "price": pa.array([1, 2], pa.int32()),
            "count": pa.array([3, 4], pa.uint16()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")

    loader.load(tmp_path / "a.parquet")

    assert loader.column("price") == [1.0, 2.0]
    assert loader.column("count") == [3, 4]


@pytest.mark.parametrize("names", [("price", "Price"), ("PRICE", "price"), ("price", "price")])
def test_columns_that_differ_only_in_case_are_refused(names: tuple[str, str]) -> None:
    source = pa.Table.from_arrays([pa.array(["a"]), *[pa.array([1.0])] * 2], ["name", *names])
    with opened() as loader:
        for given in (source, source.to_reader()):
            with pytest.raises(SourceError, match=f"{names[0]}', '{names[1]}', which SQL can't"):
                loader.load(given)
        assert loader.column("price") == []


def test_two_columns_that_match_the_foreign_id_are_refused() -> None:
    source = pa.table({"name": ["a"], "price": [1.0], "key": ["k"], "Key": ["l"]})
    with opened() as loader:
        with pytest.raises(SourceError, match="'key', 'Key', which SQL can't distinguish"):
            loader.load(source, foreign_id="key")
        assert loader.load(source).loaded == 1


def test_a_frame_with_a_column_twice_is_refused() -> None:
    frame = pd.DataFrame([["a", 1.0, 2.0]], columns=["name", "price", "price"])
    with opened() as loader, pytest.raises(SourceError, match=r"DataFrame can't be read: .*price"):
        loader.load(frame)
