"""Files are read into the store table by table, in order, and nothing is left open."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from loading_kit import Loader, opened

from batchflow.errors import ConflictError, SourceError
from batchflow.store.loading import source_instance as reading
from batchflow.store.loading.source_instance import POSITION, OutsideRows, source_instance

MIB = 1024 * 1024


def written(folder: Path, query: str, name: str = "items.parquet", options: str = "") -> Path:
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({query}) TO '{folder / name}' {options}")
    return folder / name


def source_threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith("batchflow-source")]


def test_tables_are_bounded_in_rows_and_bytes_and_in_order(loader: Loader) -> None:
    wide = "SELECT range AS n, repeat('x', 2000) AS text FROM range(100000)"
    narrow = "SELECT range AS n FROM range(600000)"

    for query, most_rows in ((wide, 60_000), (narrow, 500_000)):
        with source_instance(loader.connection.cursor()) as instance:
            outside = OutsideRows(instance, f"({query})", instance.cursor)
            with outside.tables(["n", *outside.sample.column_names]) as tables:
                seen = 0
                for table in tables:
                    assert table.num_rows <= most_rows
                    assert table.nbytes <= 160 * MIB
                    expected = range(seen, seen + table.num_rows)
                    assert table["n"].to_pylist() == list(expected)
                    assert table[POSITION].to_pylist() == list(expected)
                    seen += table.num_rows
    assert source_threads() == []


@pytest.mark.parametrize("rows", [0, 1, 50_000, 300_000])
def test_distinct_keys_are_counted_among_few_rows_and_many(
    loader: Loader, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_SORTED", 100_000)
    scattered = "(range * 7919) % 10_000_019"
    for query, missing in ((scattered, 0), (f"greatest({scattered}, 7919)", min(1, rows // 2))):
        with source_instance(loader.connection.cursor()) as instance:
            table = f"(SELECT {query} AS n FROM range({rows}))"
            outside = OutsideRows(instance, table, instance.cursor)
            counted, distinct = outside.count_keys("n::VARCHAR")
        assert counted == rows
        assert (counted - distinct > 0) == (missing > 0)


def test_a_load_of_several_tables_is_numbered_in_the_order_of_the_file(
    loader: Loader, tmp_path: Path
) -> None:
    rows = 550_000
    query = f"SELECT 'n' || range AS name, range::DOUBLE AS price FROM range({rows})"

    report = loader.load(written(tmp_path, query))

    assert (report.loaded, report.first_seq, report.last_seq) == (rows, 0, rows - 1)
    counted = "SELECT count(*) FILTER (seq = price) AS n, count(DISTINCT seq) AS seqs"
    assert loader.query(f"{counted} FROM items.runs") == [{"n": rows, "seqs": rows}]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_an_error_in_the_last_table_loads_nothing(
    suffix: str, loader: Loader, tmp_path: Path
) -> None:
    last = 500_000
    name = f"CASE range WHEN {last} THEN 'n0' ELSE 'n' || range END AS name"
    query = f"SELECT {name}, range::DOUBLE AS price FROM range({last + 1})"
    source = written(tmp_path, query, f"items.{suffix}")

    with pytest.raises(ConflictError) as caught:
        loader.load(source, on_conflict="error")

    assert (caught.value.count, caught.value.foreign_ids) == (1, ("n0",))
    assert loader.column("seq") == []
    assert loader.load(source).loaded == last


def test_sql_that_fails_in_a_later_table_loads_nothing(loader: Loader, tmp_path: Path) -> None:
    query = "SELECT 'n' || range AS name, range AS price FROM range(520000)"
    source = written(tmp_path, query)
    failing = "CASE price WHEN 510000 THEN error('in the middle') ELSE price::DOUBLE END"

    with pytest.raises(SourceError):
        loader.load(f"SELECT name, {failing} AS price FROM '{source}'")

    assert loader.column("seq") == []
    assert source_threads() == []
    assert loader.load(source).first_seq == 0


@dataclass
class Lasting:
    name: str
    span: dt.timedelta
    parts: list[dt.timedelta]


def test_durations_are_loaded_exactly_or_refused(tmp_path: Path) -> None:
    written(tmp_path, "SELECT unnest([1, 2562047, 2562048, 9000000]) AS hours", "a.parquet")
    query = (
        "SELECT hours::VARCHAR AS name, to_hours(hours) AS span, "
        f"[to_days(1), to_hours(hours)] AS parts FROM '{tmp_path / 'a.parquet'}'"
    )

    with opened(Lasting) as loader:
        report = loader.load(query, on_invalid="skip")

        assert (report.loaded, report.skipped_invalid) == (2, 2)
        assert loader.column("datepart('hour', span)") == [1, 2562047]
        assert loader.column("datepart('hour', parts[2])") == [1, 2562047]


def test_many_wide_rows_are_loaded_within_the_memory_limit(tmp_path: Path) -> None:
    note = "repeat(md5(range::VARCHAR), 100) AS note"
    query = f"SELECT 'n' || range AS name, range::DOUBLE AS price, {note} FROM range(40000)"
    source = written(tmp_path, query, options="(ROW_GROUP_SIZE 5000)")

    # 128 MB of text, in a store with a memory limit of 80 MB.
    with opened(path=tmp_path / "s.duckdb", memory_limit="80MB") as loader:
        assert loader.load(source).loaded == 40_000
        assert sum(loader.column("length(note)")) == 40_000 * 3_200


def interrupted(loader: Loader) -> None:
    with (
        source_instance(loader.connection.cursor()) as instance,
        OutsideRows(instance, "range(100000000)", instance.cursor).tables(["range"]) as tables,
    ):
        next(tables)
        raise KeyboardInterrupt


def test_a_source_that_is_not_read_to_its_end_is_closed(loader: Loader) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(loader)

    assert source_threads() == []
