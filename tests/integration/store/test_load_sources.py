from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loading_kit import Item, Loader, opened

from batchflow.errors import SourceError
from batchflow.store import Relation

ROWS = [
    {"name": "0005", "price": 1.5, "count": 2, "note": 'a, "b"'},
    {"name": "zwei", "price": 2.0, "count": 3, "note": None},
    {"name": "ťri", "price": -0.25, "count": 4, "note": "x"},
]
TABLE = pa.Table.from_pylist(ROWS)
CSV = 'name,price,count,note\n0005,1.5,2,"a, ""b"""\nzwei,2.0,3,\nťri,-0.25,4,x\n'


def parquet(folder: Path) -> Path:
    pq.write_table(TABLE, folder / "items.parquet")
    return folder / "items.parquet"


def parquet_parts(folder: Path) -> str:
    for n in range(3):
        pq.write_table(TABLE.slice(n, 1), folder / f"part-{n}.parquet")
    return str(folder / "part-*.parquet")


def paths(folder: Path) -> list[Any]:
    parquet_parts(folder)
    return [folder / "part-0.parquet", str(folder / "part-1.parquet"), folder / "part-2.parquet"]


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def zipped(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_bytes(gzip.compress(text.encode()))
    return folder / name


def lines() -> str:
    return "".join(json.dumps(row) + "\n" for row in ROWS)


def relation(_: Path) -> duckdb.DuckDBPyRelation:
    other = duckdb.connect()
    other.register("rows", TABLE)
    other.execute("CREATE TABLE items AS FROM rows")
    return other.table("items")


KINDS: dict[str, Callable[[Path], Any]] = {
    "parquet": parquet,
    "parquet text path": lambda folder: str(parquet(folder)),
    "parquet glob": parquet_parts,
    "list of paths": paths,
    "odd file name": lambda f: parquet(f).rename(f / "it's [1].parquet"),
    "csv": lambda f: written(f, "items.csv", CSV),
    "csv, compressed": lambda f: zipped(f, "items.csv.gz", CSV),
    "csv, upper-case suffix": lambda f: written(f, "ITEMS.CSV", CSV),
    "tsv": lambda f: written(
        f,
        "items.tsv",
        "name\tprice\tcount\tnote\n"
        + "".join(
            f"{r['name']}\t{r['price']}\t{r['count']}\t{r['note'] or ''}\n" for r in ROWS
        ).replace('a, "b"', '"a, ""b"""'),
    ),
    "json array": lambda f: written(f, "items.json", json.dumps(ROWS)),
    "json lines": lambda f: written(f, "items.jsonl", lines()),
    "json lines, compressed": lambda f: zipped(f, "items.ndjson.gz", lines()),
    "arrow table": lambda f: TABLE,
    "arrow batch": lambda f: TABLE.to_batches()[0],
    "arrow reader": lambda f: TABLE.to_reader(max_chunksize=1),
    "pandas": lambda f: pd.DataFrame(ROWS),
    "polars": lambda f: pl.DataFrame(ROWS),
    "duckdb relation": relation,
    "sql select": lambda f: f"SELECT * FROM '{parquet(f)}'",
    "sql from": lambda f: f"\n from '{parquet(f)}';\n",
    "sql with": lambda f: f"WITH a AS (FROM '{parquet(f)}') SELECT * FROM a -- all of them",
    "objects": lambda f: [Item(**row) for row in ROWS],
    "generator": lambda f: (Item(**row) for row in ROWS),
    "tuple of objects": lambda f: tuple(Item(**row) for row in ROWS),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_source_gives_the_same_runs(
    kind: str, loader: Loader, tmp_path: Path
) -> None:
    report = loader.load(KINDS[kind](tmp_path))

    assert (report.loaded, report.first_seq, report.last_seq, report.code) == (3, 0, 2, 0)
    found = loader.query(f"SELECT name, price, count, note FROM {loader.layout.runs} ORDER BY seq")
    assert found == ROWS
    assert loader.column("seq") == [0, 1, 2]
    assert loader.column("foreign_id") == ["0005", "zwei", "ťri"]


def test_a_new_run_is_initiated_at_its_first_version_and_attempt(loader: Loader) -> None:
    loader.load(TABLE)

    columns = "status, run_state, version, attempt, next_attempt_at, reason, created_at, updated_at"
    rows = loader.query(f"SELECT DISTINCT {columns} FROM items.runs")
    assert [(r["status"], r["run_state"], r["version"], r["attempt"]) for r in rows] == [
        ("CREATED", "INITIATED", 1, 1)
    ]
    assert rows[0]["next_attempt_at"] is None
    assert rows[0]["reason"] is None
    assert rows[0]["created_at"].isoformat() == "2026-03-01T12:00:00+00:00"
    assert rows[0]["updated_at"] == rows[0]["created_at"]


def test_the_next_load_continues_the_numbers(loader: Loader) -> None:
    loader.load(TABLE)

    report = loader.load([Item("four", 1.0)])

    assert (report.first_seq, report.last_seq) == (3, 3)
    assert loader.query("SELECT next_seq FROM batchflow.workflows") == [{"next_seq": 4}]


@pytest.mark.parametrize("empty", [[], (), TABLE.slice(0, 0), iter(())])
def test_an_empty_source_loads_nothing(loader: Loader, empty: Any) -> None:
    report = loader.load(empty)

    assert report.loaded == 0
    assert report.last_seq - report.first_seq == -1


def test_parquet_parts_with_columns_in_another_order(loader: Loader, tmp_path: Path) -> None:
    pq.write_table(TABLE.slice(0, 2), tmp_path / "a.parquet")
    pq.write_table(
        TABLE.slice(2).select(["note", "count", "name", "price"]), tmp_path / "b.parquet"
    )

    loader.load(str(tmp_path / "*.parquet"))

    assert loader.column("name") == ["0005", "zwei", "ťri"]
    assert loader.column("count") == [2, 3, 4]


def test_many_parquet_row_groups_are_numbered_without_gaps(loader: Loader, tmp_path: Path) -> None:
    rows = 30_000
    names = pa.array([f"n{n}" for n in range(rows)])
    table = pa.table({"name": names, "price": pa.array(range(rows), pa.float64())})
    for part in range(3):
        path = tmp_path / f"{part}.parquet"
        pq.write_table(table.slice(part * 10_000, 10_000), path, row_group_size=700)

    report = loader.load(str(tmp_path / "*.parquet"))

    assert (report.loaded, report.first_seq, report.last_seq) == (rows, 0, rows - 1)
    assert loader.query("SELECT count(*) AS n FROM items.runs WHERE seq = price") == [{"n": rows}]


def test_a_relation_of_the_store_itself_can_be_loaded(loader: Loader) -> None:
    loader.load(TABLE)
    loader.finish("true")

    report = loader.load(
        Relation(loader.store.source, "SELECT name, price FROM items.runs WHERE price > 0")
    )

    assert report.loaded == 2


def test_objects_are_read_in_batches(tmp_path: Path) -> None:
    text = "x" * 4_000

    def many() -> Iterator[Item]:
        for n in range(20_000):
            yield Item(f"n{n}", float(n), note=f"{n}{text}")

    # 80 MB of text, in a store with a memory limit of 40 MB.
    with opened(path=tmp_path / "s.duckdb", memory_limit="40MB") as loader:
        report = loader.load(many())

        assert report.loaded == 20_000
        [length] = loader.query("SELECT sum(length(note))::BIGINT AS n FROM items.runs")
        assert length["n"] > 80_000_000


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no file": (lambda f: f / "none.parquet", "There is no file at"),
    "no file fits the glob": (lambda f: str(f / "*.parquet"), "There is no file at"),
    "one of several is missing": (lambda f: [parquet(f), f / "none.parquet"], "none.parquet"),
    "folder": (lambda f: f, "is a folder"),
    "unknown suffix": (lambda f: written(f, "items.xlsx", ""), "doesn't end in one of"),
    "two kinds": (lambda f: [parquet(f), written(f, "a.csv", CSV)], "CSV and Parquet"),
    "no parquet": (lambda f: written(f, "a.parquet", "no parquet"), "can't be read"),
    "no json": (lambda f: written(f, "a.json", '{"name": '), "can't be read"),
    "empty csv": (lambda f: written(f, "a.csv", ""), "is empty: it has 0 bytes"),
    "empty json": (lambda f: written(f, "a.json", ""), "is empty: it has 0 bytes"),
    "short parquet": (lambda f: written(f, "a.parquet", "PAR1"), "too small to be a Parquet file"),
    "empty parquet": (lambda f: written(f, "a.parquet", ""), "is empty: it has 0 bytes"),
    "two statements": (lambda f: "SELECT 1; SELECT 2", "not a single query"),
    "statement that writes": (
        lambda f: "WITH a AS (SELECT 1) INSERT INTO items.runs FROM a",
        "not a single query",
    ),
    "broken sql": (lambda f: "SELECT * FROM nowhere", "can't be read"),
    "sql with a syntax error": (lambda f: "SELECT * FRM x y z", "can't be read"),
    "number": (lambda f: 5, "of type int"),
    "bytes": (lambda f: b"items", "of type bytes"),
    "mapping": (lambda f: {"name": ["a"]}, "of type dict"),
    "single object": (lambda f: Item("a", 1.0), "of type Item"),
    "lazy frame": (lambda f: pl.DataFrame(ROWS).lazy(), "of type LazyFrame"),
    "objects of another class": (lambda f: [Item("a", 1.0), Path("b")], "Item 2 .* PosixPath"),
}


@pytest.mark.filterwarnings("ignore::polars.exceptions.PerformanceWarning")
@pytest.mark.parametrize("kind", REFUSED)
def test_other_sources_are_refused(kind: str, loader: Loader, tmp_path: Path) -> None:
    source, message = REFUSED[kind]

    with pytest.raises(SourceError, match=message):
        loader.load(source(tmp_path))

    assert loader.load(TABLE).loaded == 3


def test_a_source_that_fails_midway_loads_nothing(loader: Loader) -> None:
    def failing() -> Iterator[Item]:
        for n in range(40_000):
            yield Item(f"n{n}", 1.0)
        raise ZeroDivisionError("in the middle")

    with pytest.raises(SourceError, match="ZeroDivisionError") as caught:
        loader.load(failing())

    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert loader.column("seq") == []
    assert loader.load(TABLE).first_seq == 0


def test_an_arrow_reader_that_fails_midway_loads_nothing(loader: Loader) -> None:
    def failing() -> Iterator[pa.RecordBatch]:
        yield TABLE.to_batches()[0]
        raise OSError("lost the connection")

    with pytest.raises(SourceError, match="lost the connection"):
        loader.load(pa.RecordBatchReader.from_batches(TABLE.schema, failing()))

    assert loader.column("seq") == []


def test_a_ragged_csv_file_is_refused_without_showing_its_content(
    loader: Loader, tmp_path: Path
) -> None:
    path = written(tmp_path, "a.csv", "name,price\na,1\nsecret,2,3\nb,3\n")

    with pytest.raises(SourceError) as caught:
        loader.load(path)

    assert "secret" not in str(caught.value)
    assert loader.column("seq") == []


def test_text_in_a_csv_file_is_unchanged(loader: Loader, tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", 'name,price,note\n007,1,1e3\n1.0,2,2024-01-01\ntrue,3,""\n')

    loader.load(path)

    assert loader.column("name") == ["007", "1.0", "true"]
    assert loader.column("note") == ["1e3", "2024-01-01", ""]


def test_a_key_that_first_occurs_late_in_a_json_file_is_loaded(
    loader: Loader, tmp_path: Path
) -> None:
    rows = [{"name": f"n{n}", "price": 1} for n in range(20_000)] + [
        {"name": "last", "price": 2, "note": "seen"}
    ]
    path = written(tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    loader.load(path)

    assert loader.column("note", "name = 'last'") == ["seen"]
