"""The rows that a load leaves out are kept with their source, number and reason."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from loading_kit import NOW, Item, Loader

from batchflow.errors import ConflictError, InvalidRowsError
from batchflow.operation.requests import Prune
from batchflow.store.loading import rejected
from batchflow.store.query import queries
from batchflow.store.query.local_source import LocalSource
from batchflow.store.runs.prune import prune

ROWS = [("a", "1"), ("b", "x"), ("a", "3"), ("c", "4"), (None, "5")]


def found(loader: Loader, *columns: str) -> list[tuple[Any, ...]]:
    relation = queries.rejected(LocalSource(loader.connection), loader.layout)
    return relation.select(*columns).fetchall()


@pytest.fixture(params=["csv", "table"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "csv":
        lines = [f"{name or ''},{price}" for name, price in ROWS]
        (tmp_path / "items.csv").write_text("\n".join(["name,price", *lines, ""]))
        return tmp_path / "items.csv"
    names, prices = zip(*ROWS, strict=True)
    return pa.table({"name": names, "price": prices})


def test_each_row_that_is_left_out_is_kept_with_its_reason(loader: Loader, source: Any) -> None:
    loader.load([Item("c", 0.0)])

    report = loader.load(source, on_invalid="skip")

    kept = found(loader, "source_row", "foreign_id", "reason", "detail", "record")
    assert [row[:3] for row in kept] == [
        (2, "b", "invalid"),
        (3, "a", "duplicate"),
        (4, "c", "unfinished"),
        (5, None, "invalid"),
    ]
    assert [row[3] for row in kept] == [
        "column 'price' does not fit float",
        "an earlier row has the same foreign id",
        "the foreign id has an unfinished run",
        "column 'name' does not fit a foreign id",
    ]
    records = [json.loads(row[4]) for row in kept]
    assert [record["name"] for record in records] == ["b", "a", "c", None]
    assert {name for record in records for name in record} == {"name", "price"}
    assert [str(record["price"]) for record in records] == ["x", "3.0", "4.0", "5"]
    assert report.skipped_conflicts + report.skipped_invalid == len(kept)


def test_a_rejected_row_of_a_file_names_the_file_and_its_entry(
    loader: Loader, tmp_path: Path
) -> None:
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(f"name,price\n{name},1\nsame,2\n")

    loader.load(tmp_path / "*.csv")

    assert found(loader, "load_id", "source", "source_row", "loaded_at") == [
        (2, str(tmp_path / "b.csv"), 2, NOW)
    ]


@pytest.mark.parametrize("options", [{}, {"on_invalid": "skip", "on_conflict": "error"}])
def test_a_load_that_is_refused_keeps_no_rows(
    loader: Loader, source: Any, options: dict[str, Any]
) -> None:
    with pytest.raises((InvalidRowsError, ConflictError)):
        loader.load(source, **options)

    assert found(loader, "*") == []


def test_the_first_rows_of_a_load_are_kept(loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejected, "MOST_REJECTED", 3)

    report = loader.load([Item("a", float(n)) for n in range(9)])

    assert report.skipped_conflicts == 8
    assert found(loader, "source_row") == [(2,), (3,), (4,)]


def test_a_long_record_is_not_kept(loader: Loader) -> None:
    long = "x" * rejected.MOST_RECORD_BYTES

    loader.load([Item("a", 1.0), Item("a", 2.0, note=long), Item("a", 3.0)])

    assert found(loader, "source_row", "record IS NULL") == [(2, True), (3, False)]


def test_a_prune_removes_the_rejected_rows_of_old_loads(loader: Loader) -> None:
    loader.load([Item("a", 1.0), Item("a", 2.0)])

    def pruned(**options: Any) -> int:
        request = Prune(finished_before=timedelta(days=1), **options)
        return prune(loader.connection, [loader.layout], request, now).rejected

    now = NOW + timedelta(hours=1)
    assert pruned() == 0
    now = NOW + timedelta(days=2)
    assert (pruned(dry_run=True), pruned(where="true"), len(found(loader, "*"))) == (1, 0, 1)
    assert pruned() == 1
    assert found(loader, "*") == []
