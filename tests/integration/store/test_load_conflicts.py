from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loading_kit import Item, Loader

from batchflow.definition.run_state import RunState
from batchflow.errors import ConflictError, InvalidRowsError


@pytest.fixture(params=["parquet", "table", "objects"])
def source_of(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Return a function that makes a source of items with these names, priced by position."""

    def make(*names: str) -> Any:
        table = pa.table({"name": names, "price": [float(n) for n in range(len(names))]})
        if request.param == "parquet":
            pq.write_table(table, tmp_path / "items.parquet")
            return tmp_path / "items.parquet"
        return table if request.param == "table" else [Item(**row) for row in table.to_pylist()]

    return make


def test_the_same_load_twice_is_harmless(loader: Loader, source_of: Any) -> None:
    names = [f"n{n}" for n in range(7)]
    loader.load(source_of(*names))

    report = loader.load(source_of(*names), again=True)

    assert (report.loaded, report.skipped_conflicts) == (0, 7)
    assert report.conflict_sample == ("n0", "n1", "n2", "n3", "n4")
    assert len(loader.column("seq")) == 7


@pytest.mark.parametrize("state", RunState)
def test_only_an_unfinished_run_conflicts(loader: Loader, source_of: Any, state: RunState) -> None:
    loader.load(source_of("a", "b"))
    with loader.connection.write() as cursor:
        cursor.execute(f"UPDATE items.runs SET run_state = '{state.name}' WHERE foreign_id = 'a'")

    report = loader.load(source_of("a", "b", "c"))

    expected = ["a", "b", "a", "c"] if state.finished else ["a", "b", "c"]
    assert loader.column("foreign_id") == expected
    assert report.skipped_conflicts == 5 - len(expected)
    assert loader.column("seq") == list(range(len(expected)))


def test_of_rows_with_the_same_foreign_id_the_first_is_loaded(
    loader: Loader, source_of: Any
) -> None:
    report = loader.load(source_of("a", "b", "a", "c", "a", "b"))

    assert (report.loaded, report.skipped_conflicts) == (3, 3)
    assert report.conflict_sample == ("a", "a", "b")
    assert (report.first_seq, report.last_seq) == (0, 2)
    found = loader.query("SELECT seq, name, price FROM items.runs ORDER BY price")
    assert [(row["name"], row["price"]) for row in found] == [("a", 0.0), ("b", 1.0), ("c", 3.0)]
    assert sorted(row["seq"] for row in found) == [0, 1, 2]


def test_of_rows_with_the_same_foreign_id_the_first_that_fits_is_loaded(loader: Loader) -> None:
    source = pa.table({"name": ["a", "a", "a"], "price": ["x", "2", "3"]})

    report = loader.load(source, on_invalid="skip")

    assert (report.loaded, report.skipped_invalid, report.skipped_conflicts) == (1, 1, 1)
    assert loader.column("price") == [2.0]


def test_a_conflict_loads_nothing_if_it_is_an_error(loader: Loader, source_of: Any) -> None:
    loader.load(source_of("a"))

    with pytest.raises(ConflictError) as caught:
        loader.load(source_of("b", "a", "c", "c"), on_conflict="error")

    assert (caught.value.count, set(caught.value.foreign_ids)) == (2, {"a", "c"})
    assert "'a', 'c'" in str(caught.value)
    assert loader.column("foreign_id") == ["a"]
    assert loader.load(source_of("b"), on_conflict="error").first_seq == 1


def test_rows_that_do_not_fit_are_reported_before_conflicts(loader: Loader) -> None:
    source = pa.table({"name": ["a", "a"], "price": ["x", "y"]})

    with pytest.raises(InvalidRowsError):
        loader.load(source, on_conflict="error")


def test_numbers_have_no_gaps_if_rows_are_left_out(loader: Loader) -> None:
    rows = 300_000
    table = pa.table({"name": [f"n{n}" for n in range(rows)], "price": pa.array(range(rows))})
    loader.load(table.filter(pa.compute.equal(pa.compute.bit_wise_and(table["price"], 1), 0)))

    report = loader.load(table)

    assert (report.loaded, report.skipped_conflicts) == (rows // 2, rows // 2)
    seqs = loader.query("SELECT count(DISTINCT seq) AS n, max(seq) AS last FROM items.runs")
    assert seqs == [{"n": rows, "last": rows - 1}]
    assert (report.first_seq, report.last_seq) == (rows // 2, rows - 1)


def test_the_report_can_be_printed(loader: Loader) -> None:
    loader.load([Item("a", 1.0)])
    table = pa.table({"name": ["a", "b", "c"], "price": ["1", "2", "x"]})

    report = loader.load(table, on_invalid="skip")

    assert str(report) == (
        "items: 1 run loaded at CREATED\n"
        "  left out: 1 row, because the foreign id has an unfinished run\n"
        "  foreign ids left out: a\n"
        "  left out: 1 row of column 'price' doesn't fit float (row 3: 'c')"
    )


def test_a_load_leaves_no_temporary_tables(loader: Loader, source_of: Any) -> None:
    before = loader.query(
        "SELECT table_name FROM duckdb_tables() UNION ALL "
        "SELECT view_name FROM duckdb_views() WHERE NOT internal"
    )

    loader.load(source_of("a", "a"))
    with pytest.raises(ConflictError):
        loader.load(source_of("b", "b"), on_conflict="error")

    after = loader.connection.cursor().sql(
        "SELECT table_name FROM duckdb_tables() UNION ALL "
        "SELECT view_name FROM duckdb_views() WHERE NOT internal"
    )
    assert sorted(name for (name,) in after.fetchall()) == sorted(r["table_name"] for r in before)
    variables = loader.connection.cursor().sql("SELECT count(*) FROM duckdb_variables()")
    assert variables.fetchall() == [(0,)]
