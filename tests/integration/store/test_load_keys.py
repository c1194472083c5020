"""Each foreign id of a Parquet file is loaded once, in any order of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loading_kit import Loader

from batchflow.errors import InvalidRowsError

# Some batches of the source, of which the last one is where the order turns.
ROWS = 300_000


def written(folder: Path, name: str) -> Path:
    query = f"SELECT {name} AS name, range::DOUBLE AS price FROM range({ROWS})"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({query}) TO '{folder / 'items.parquet'}'")
    return folder / "items.parquet"


def keys_of(loader: Loader) -> tuple[int, int, int]:
    [row] = loader.query(
        "SELECT count(*) AS runs, count(DISTINCT foreign_id) AS keys, "
        "count(*) FILTER (seq = price) AS in_order FROM items.runs"
    )
    return row["runs"], row["keys"], row["in_order"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("format('{:09d}', range)", id="ascending"),
        pytest.param("format('{:09d}', 999999999 - range)", id="descending"),
        pytest.param("'n' || hash(range)", id="scattered"),
        pytest.param(f"format('{{:09d}}', (range + 20000) % {ROWS})", id="turning at the end"),
    ],
)
def test_all_foreign_ids_are_loaded_in_the_order_of_the_file(
    name: str, loader: Loader, tmp_path: Path
) -> None:
    assert loader.load(written(tmp_path, f"({name})::VARCHAR")).loaded == ROWS
    assert keys_of(loader) == (ROWS, ROWS, ROWS)


@pytest.mark.parametrize("kind", ["BIGINT", "UTINYINT", "UUID"])
def test_foreign_ids_of_other_types_are_loaded_as_text(
    kind: str, loader: Loader, tmp_path: Path
) -> None:
    keys = "CAST('6b43fba5-0000-4000-8000-00000000000' || range AS UUID)"
    key = keys if kind == "UUID" else f"range::{kind}"
    query = f"SELECT {key} AS key, 'a' AS name, range::DOUBLE AS price FROM range(9)"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({query}) TO '{tmp_path / 'a.parquet'}'")
        expected = connection.execute(f"SELECT key::VARCHAR FROM ({query})").fetchall()

    loader.load(tmp_path / "a.parquet", foreign_id="key")

    assert loader.column("foreign_id") == [key for (key,) in expected]


@pytest.mark.parametrize("twice", [0, 1, ROWS - 2])
def test_a_foreign_id_that_occurs_again_at_the_end_is_left_out(
    twice: int, loader: Loader, tmp_path: Path
) -> None:
    last = ROWS - 1
    again = f"format('{{:09d}}', CASE range WHEN {last} THEN {twice} ELSE range END)"

    report = loader.load(written(tmp_path, again))

    assert (report.loaded, report.skipped_conflicts) == (last, 1)
    assert (report.first_seq, report.last_seq) == (0, last - 1)
    assert keys_of(loader)[:2] == (last, last)


def test_a_missing_foreign_id_at_the_end_loads_nothing(loader: Loader, tmp_path: Path) -> None:
    missing = f"CASE WHEN range < {ROWS - 1} THEN format('{{:09d}}', range) END"

    with pytest.raises(InvalidRowsError):
        loader.load(written(tmp_path, missing))

    assert loader.column("seq") == []


@pytest.mark.parametrize("suffix", ["parquet", "csv", "table"])
def test_an_empty_text_is_no_foreign_id(loader: Loader, tmp_path: Path, suffix: str) -> None:
    table = pa.table({"name": ["", "a", "b"], "price": [1.0, 2.0, 3.0]})
    source: Any = table
    if suffix == "parquet":
        source = tmp_path / "a.parquet"
        pq.write_table(table, source)
    elif suffix == "csv":
        source = tmp_path / "a.csv"
        source.write_text('name,price\n"",1\na,2\nb,3\n')

    report = loader.load(source, on_invalid="skip")

    assert (report.loaded, report.skipped_invalid) == (2, 1)
    assert loader.column("foreign_id") == ["a", "b"]
