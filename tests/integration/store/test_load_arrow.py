"""What makes Arrow when it is asked loads as it is: data sets, scanners, tables of lakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loading_kit import Loader
from pyarrow import dataset

import batchflow as bf
from batchflow.errors import SourceError
from kit.things import things

ROWS = pa.table({"name": ["a", "b"], "price": [1.0, 2.0]})


def delta(folder: Path) -> Any:
    deltalake = pytest.importorskip("deltalake", reason="not in CI: 50 MB")
    deltalake.write_deltalake(folder, ROWS)
    return deltalake.DeltaTable(folder)


def iceberg(folder: Path) -> Any:
    catalogs = pytest.importorskip("pyiceberg.catalog.sql", reason="not in CI: 30 packages")
    catalog = catalogs.SqlCatalog("c", uri="sqlite:///:memory:", warehouse=f"file://{folder}")
    catalog.create_namespace("n")
    table = catalog.create_table("n.t", ROWS.schema)
    table.append(ROWS)
    return table


def on_disk(folder: Path) -> Any:
    pq.write_table(ROWS, folder / "rows.parquet")
    return dataset.dataset(folder)


class Stream:
    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return ROWS.__arrow_c_stream__(requested_schema)


SOURCES: dict[str, Callable[[Path], Any]] = {
    "data set": on_disk,
    "data set in memory": lambda _: dataset.dataset(ROWS),
    "scanner": lambda folder: on_disk(folder).scanner(filter=dataset.field("price") > 0),
    "record batch": lambda _: ROWS.to_batches()[0],
    "DuckDB relation": lambda _: duckdb.connect().from_arrow(ROWS),
    "anything with a stream": lambda _: Stream(),
    "Delta": delta,
    "Iceberg": iceberg,
    "Iceberg scan": lambda folder: iceberg(folder).scan(),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", SOURCES)
def test_it_loads(loader: Loader, tmp_path: Path, kind: str) -> None:
    assert loader.load(SOURCES[kind](tmp_path)).loaded == 2
    assert loader.column("price") == [1.0, 2.0]


def test_a_client_sends_the_rows(path: Path) -> None:
    with bf.Engine(path, things(), workers=0):
        rows = dataset.dataset(pa.table({"number": [1, 2]}))
        assert bf.connect(path).trigger_many(rows, foreign_id="number").loaded == 2


def test_a_data_set_whose_file_is_gone_is_refused(loader: Loader, tmp_path: Path) -> None:
    source = on_disk(tmp_path)
    (tmp_path / "rows.parquet").unlink()

    with pytest.raises(SourceError, match=r"The \w*Dataset can't be read"):
        loader.load(source)
    assert loader.column("name") == []


def test_a_library_that_fails_is_named(loader: Loader) -> None:
    class Broken:
        def scanner(self) -> Any:
            raise RuntimeError("no such version")

    class Strange:
        def scan(self) -> int:
            return 3

    with pytest.raises(SourceError, match=r"The Broken can't be read: no such version"):
        loader.load(Broken())
    with pytest.raises(SourceError, match=r"The Strange can't be read: its scan\(\) returns no"):
        loader.load(Strange())
