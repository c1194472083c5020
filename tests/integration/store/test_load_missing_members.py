"""A nested value that lacks a member takes the default of its field; ``null`` is a value."""

from __future__ import annotations

import datetime as dt
import functools
import json
from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loading_kit import Stage, opened

from batchflow.definition.fields import UTC, Precision
from batchflow.errors import InvalidRowsError, SourceError

KEY = UUID(int=7)


@dataclass
class Deep:
    depth: int = 3


@dataclass
class Part:
    size: int
    note: str | None = 'it\'s "none"'
    nothing: int | None = None
    ratio: float = float("inf")
    price: Annotated[Decimal, Precision(9, 2)] = Decimal("1.50")
    raw: bytes = b"\x00\\a"
    day: dt.date = dt.date(2024, 1, 2)
    local: dt.datetime = dt.datetime(2024, 1, 2, 3)  # noqa: DTZ001
    instant: Annotated[dt.datetime, UTC] = dt.datetime(2024, 1, 2, tzinfo=dt.UTC)
    wait: dt.timedelta = dt.timedelta(days=-1, microseconds=1)
    key: UUID = KEY
    stage: Stage = Stage.PAID
    tags: list[str] = field(default_factory=list)
    deep: Deep = field(default_factory=Deep)
    by_name: dict[str, Deep] = field(default_factory=dict)


@dataclass
class Order:
    key: str
    part: Part | None = None
    parts: list[Part] = field(default_factory=list)
    by_name: dict[str, list[Part | None]] = field(default_factory=dict)


def lines(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def parquet(path: Path, table: pa.Table) -> Path:
    pq.write_table(table, path)
    return path


def test_a_wrong_key_of_a_nested_value_is_named(tmp_path: Path) -> None:
    record = {"key": "a", "by_name": {"x": [{"size": 1}, {"size": 1, "dep": {}}]}}
    columns = {"key": ["a"], "parts": [[{"siez": 1}]]}
    for source, error, found in (
        (
            [record],
            InvalidRowsError,
            r"a dict with the unknown key 'dep' \(did you mean 'deep'\?\)",
        ),
        (
            lines(tmp_path / "one.jsonl", record),
            InvalidRowsError,
            r"with the unknown key 'dep' \(did you mean 'deep'\?\) in an item in a value",
        ),
        (
            parquet(tmp_path / "one.parquet", pa.table(columns)),
            SourceError,
            r"with the unknown key 'siez' \(did you mean 'size'\?\) in an item",
        ),
        ([{"key": "a", "prt": None}], SourceError, r"has the key 'prt'.*did you mean 'part'\?"),
    ):
        with opened(Order) as loader, pytest.raises(error, match=found):
            loader.load(source, foreign_id="key")


def stored(source: Any) -> list[dict[str, Any]]:
    with opened(Order) as loader:
        loader.load(source, foreign_id="key")
        return loader.query("SELECT part, parts, by_name FROM items.runs ORDER BY seq")


BARE = {"key": "a", "part": {"size": 1}, "parts": [{"size": 2}], "by_name": {"b": [{"size": 3}]}}
NULL: dict[str, Any] = {"key": "a", "part": {"size": 1, "note": None}}


@functools.cache
def complete() -> list[dict[str, Any]]:
    return stored([Order("a", Part(1), [Part(2)], {"b": [Part(3)]})])


def test_members_that_a_json_record_lacks_take_their_defaults(tmp_path: Path) -> None:
    assert stored(lines(tmp_path / "a.jsonl", BARE)) == complete()


def test_members_that_a_record_lacks_take_their_defaults() -> None:
    assert stored([BARE]) == complete()


def test_members_that_structs_lack_take_their_defaults(tmp_path: Path) -> None:
    part = pa.struct([("size", pa.int32())])
    columns = {
        "key": ["a"],
        "part": pa.array([BARE["part"]], part),
        "parts": pa.array([BARE["parts"]], pa.list_(part)),
    }
    by_name = pa.array([[("b", [{"size": 3}])]], pa.map_(pa.string(), pa.list_(part)))
    table = pa.table({**columns, "by_name": by_name})

    assert stored(table) == stored(parquet(tmp_path / "a.parquet", table)) == complete()
    frame = pl.DataFrame(pa.table(columns))
    assert [row["parts"] for row in stored(frame)] == [row["parts"] for row in complete()]


def filled(source: Path) -> set[str]:
    with opened(Order) as loader:
        report = loader.load(source, foreign_id="key")
    return {name for each in report.filled for name in each.columns if "." in name}


@dataclass
class Short:
    key: str
    number: int = 0
    deep: Deep = field(default_factory=Deep)


def test_what_only_rows_that_are_left_out_lack_is_not_reported(tmp_path: Path) -> None:
    whole: dict[str, Any] = {"number": 1, "deep": {"depth": 1}}
    (tmp_path / "some").mkdir()
    for name in "ab":
        lines(
            tmp_path / "some" / f"{name}.jsonl",
            {"key": f"{name}1", **whole},
            {"key": None, "deep": {}},
        )
    lines(tmp_path / "c.jsonl", {"key": "c1", **whole}, {"key": "a1", "deep": {}})
    with opened(Short) as loader:
        load = functools.partial(loader.load, foreign_id="key", on_invalid="skip")
        assert load(tmp_path / "some" / "*.jsonl").filled == ()
        assert load(tmp_path / "c.jsonl", on_conflict="skip").filled == ()
        # A field that such a row lacks stays as it is.
        lines(tmp_path / "d.jsonl", {"key": "a1", "deep": {}})
        [found] = load(tmp_path / "d.jsonl", on_conflict="update").filled
        assert found.columns == ("deep.depth",)
        # The next file's row is new.
        lines(tmp_path / "e.jsonl", {"key": "e1", "deep": {}})
        [found] = load(tmp_path / "e.jsonl").filled
        assert found.columns == ("number", "deep.depth")


def test_the_members_that_a_file_lacks_are_reported(tmp_path: Path) -> None:
    with_defaults = {each.name for each in fields(Part)} - {"size"}
    nested = {"key": "a", "by_name": {"b": [{"size": 1, "deep": {}}, None]}}
    others = ({"key": "b", "parts": []}, {"key": "c", "part": None, "parts": [NULL["part"]]})
    part = pa.table({"key": ["a"], "part": [{"size": 1, "tags": ["a"]}]})

    assert filled(lines(tmp_path / "a.jsonl", nested, others[0])) == {
        *(f"by_name.{name}" for name in with_defaults - {"deep"}),
        "by_name.deep.depth",
    }
    assert filled(lines(tmp_path / "b.jsonl", *others)) == {
        f"parts.{name}" for name in with_defaults - {"note"}
    }
    assert filled(parquet(tmp_path / "a.parquet", part)) == {
        f"part.{name}" for name in with_defaults - {"tags"}
    }
    assert filled(lines(tmp_path / "c.jsonl", others[0])) == set()


def test_null_and_a_value_that_is_absent_do_not_take_the_defaults(tmp_path: Path) -> None:
    expected = stored([Order("a", Part(1, None)), Order("b", None, by_name={"c": [None]})])
    absent = {"key": "b", "part": None, "by_name": {"c": [None]}}

    assert stored(lines(tmp_path / "a.jsonl", NULL, absent)) == expected
    assert stored([NULL, absent]) == expected


@pytest.mark.parametrize(
    "part",
    [{}, {"note": "a"}, {"size": None}, {"size": 1, "tags": None}, {"size": 1, "other": None}],
    ids=["empty", "without a default", "null", "null for a list", "another key"],
)
def test_other_nested_values_are_refused_by_name(tmp_path: Path, part: dict[str, Any]) -> None:
    record = {"key": "a", "part": part}
    for source in ([record], lines(tmp_path / "a.jsonl", record)):
        with pytest.raises(InvalidRowsError, match=r"'part' doesn't fit Part.*\(row 1"):
            stored(source)
    if part:
        with pytest.raises((InvalidRowsError, SourceError), match="'part'"):
            stored(pa.table({"key": ["a"], "part": [part]}))


def test_a_key_of_a_nested_record_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"key": "a", "part": {"size": 1, "size": 2}}')

    with pytest.raises(InvalidRowsError, match="'part'"):
        stored(path)


@dataclass
class Marked:
    mark: UUID = field(default_factory=uuid4)


@dataclass
class Marks:
    key: str
    marked: Marked


def test_a_default_that_is_made_for_each_value_is_only_made_by_python(tmp_path: Path) -> None:
    record = {"key": "a", "marked": {}}
    with opened(Marks) as loader:
        with pytest.raises(InvalidRowsError, match="'marked'"):
            loader.load(lines(tmp_path / "a.jsonl", record), foreign_id="key")

        assert loader.load([record], foreign_id="key").loaded == 1
