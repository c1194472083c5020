"""SQL in a store can access no file but the store's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from loading_kit import Item, Loader, opened
from store_kit import NOW, Bench, Status, parcels, sql_parcels

from batchflow.access import connect
from batchflow.errors import (
    BatchflowError,
    CommitError,
    DefinitionError,
    InvalidOptionError,
    QueryError,
    SourceError,
)
from batchflow.store import Relation, Store

SECRET = "hunter2-of-another-user"

READS: dict[str, str] = {
    "csv": "read_csv('{file}')",
    "csv by its name": "'{file}'",
    "text": "read_text('{file}')",
    "bytes": "read_blob('{file}')",
    "json": "read_json('{file}')",
    "parquet": "read_parquet('{file}')",
    "metadata of parquet": "parquet_metadata('{file}')",
    "look at csv": "sniff_csv('{file}')",
    "names of files": "glob('{folder}/*')",
    "another database": "read_duckdb('{folder}/other.duckdb', table_name = 'secrets')",
    "query within": "query('SELECT * FROM read_text(''{file}'')')",
    "serialized query": (
        "json_execute_serialized_sql(json_serialize_sql('SELECT * FROM read_text(''{file}'')'))"
    ),
    "log to a file": "enable_logging(storage = 'file', storage_path = '{folder}/log')",
}
STATEMENTS: dict[str, str] = {
    "copy to": "COPY (SELECT 1) TO '{folder}/made.csv'",
    "copy to, explained": "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/made.csv'",
    "attach": "ATTACH '{folder}/other.duckdb'",
    "attach, explained": "EXPLAIN ANALYZE ATTACH '{folder}/other.duckdb'",
    "export": "EXPORT DATABASE '{folder}/made'",
    "install": "INSTALL httpfs",
    "load": "LOAD '{folder}/made.so'",
    "allow it again": "SET GLOBAL enable_external_access = true",
    "allow it again, explained": "EXPLAIN ANALYZE SET GLOBAL enable_external_access = true",
    "other setting, explained": "EXPLAIN ANALYZE SET GLOBAL memory_limit = '1TB'",
    "allow a folder": "SET GLOBAL allowed_directories = ['{folder}']",
    "pragma, explained": "EXPLAIN /* now */ ANALYZE PRAGMA enable_profiling",
    "call, explained": "EXPLAIN (ANALYZE, FORMAT JSON) CALL enable_logging()",
}


@pytest.fixture(scope="module")
def only_read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Return a store in a file, which is the only file that it may access, with three runs."""
    workflow = parcels()
    path = tmp_path_factory.mktemp("store") / "parcels.duckdb"
    with closing(Store.open(path, [workflow], clock=lambda: NOW)) as store:
        bench = Bench(store, workflow)
        bench.seed(3)
        yield bench


@pytest.fixture(scope="module")
def closed_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("closed") / "parcels.duckdb"
    Store.open(path, [parcels()], clock=lambda: NOW).close()
    return path


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder with a file and a database that queries must not read."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "secret.csv").write_text(f"secret\n{SECRET}\n")
    with duckdb.connect(str(folder / "other.duckdb")) as other:
        other.execute(f"CREATE TABLE secrets AS SELECT '{SECRET}' AS secret")
    return folder


def hostile(sql: str, folder: Path) -> str:
    return sql.format(folder=folder, file=folder / "secret.csv")


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises((BatchflowError, duckdb.Error)) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("kind", READS)
def test_a_query_reads_no_file(kind: str, only_read: Bench, elsewhere: Path) -> None:
    read = hostile(READS[kind], elsewhere)

    message = refused(lambda: only_read.questions.sql(f"SELECT * FROM {read}").fetchall())

    assert SECRET not in message
    assert sorted(os.listdir(elsewhere)) == ["other.duckdb", "secret.csv"]
    assert only_read.questions.sql("SELECT 1").fetchall() == [(1,)]


@pytest.mark.parametrize("kind", READS)
def test_a_predicate_reads_no_file(kind: str, only_read: Bench, elsewhere: Path) -> None:
    where = f"EXISTS (SELECT * FROM {hostile(READS[kind], elsewhere)})"

    refused(lambda: only_read.questions.runs(where).fetchall())
    refused(lambda: only_read.questions.cancel(where))

    assert set(only_read.rows("run_state::VARCHAR")) == {("INITIATED",)}


def executed(bench: Bench) -> None:
    """Execute the step, and raise the error that its run failed with."""
    bench.seed(1)
    bench.execute()
    assert bench.rows("status::VARCHAR, label") == [("NEW", "none")]
    raise CommitError(str(bench.errors("type, message, traceback")))


@pytest.mark.parametrize("kind", READS)
def test_a_step_in_sql_reads_no_file(
    kind: str, open_bench: Callable[..., Bench], elsewhere: Path
) -> None:
    expression = f"(SELECT min(t::VARCHAR) FROM {hostile(READS[kind], elsewhere)} AS t)"

    with pytest.raises((DefinitionError, CommitError)) as caught:
        # Most are refused before any run is read.
        executed(open_bench(sql_parcels(values={"label": expression})))

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("kind", STATEMENTS)
def test_a_query_neither_writes_files_nor_changes_settings(
    kind: str, only_read: Bench, elsewhere: Path
) -> None:
    with pytest.raises(QueryError):
        only_read.questions.sql(hostile(STATEMENTS[kind], elsewhere)).fetchall()

    assert sorted(os.listdir(elsewhere)) == ["other.duckdb", "secret.csv"]


@pytest.mark.parametrize("kind", READS)
def test_a_reader_reads_no_other_file(kind: str, closed_file: Path, elsewhere: Path) -> None:
    with connect(closed_file) as reader:
        refused(lambda: reader.sql(f"FROM {hostile(READS[kind], elsewhere)}").fetchall())


def test_settings_stay_what_they_are(only_read: Bench) -> None:
    for statement in ("SET memory_limit = '1GB'", "SET enable_external_access = true"):
        with pytest.raises(duckdb.InvalidInputException):
            only_read.store.connection.cursor().execute(statement)


def test_a_query_can_still_be_explained(only_read: Bench) -> None:
    for explain in ("EXPLAIN", "explain analyze", "EXPLAIN (FORMAT json)"):
        assert only_read.questions.sql(f"{explain} SELECT * FROM parcels.runs").fetchall()


def test_python_variables_can_not_be_queried(only_read: Bench) -> None:
    with pytest.raises(QueryError, match="does not exist"):
        only_read.questions.sql("FROM reader").fetchall()


@pytest.mark.parametrize("limit", ["lots", "5 apples", "", "0", "120%", "1KB"])
def test_an_invalid_memory_limit_is_refused_in_a_sentence(path: Path, limit: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        Store.open(path, [sql_parcels()], clock=lambda: NOW, memory_limit=limit)

    assert str(caught.value) == (
        f"memory_limit is {limit!r}, which is not an amount of memory that DuckDB can use; give "
        'one like "512MB" or "4GB".'
    )
    assert not path.exists()


@pytest.fixture
def loader(tmp_path: Path) -> Iterator[Loader]:
    with opened(path=tmp_path / "items.duckdb") as found:
        yield found


def items(folder: Path) -> Path:
    (folder / "items.csv").write_text("name,price\na,1\nb,2\n")
    return folder / "items.csv"


def test_sql_that_reads_a_file_is_a_source(loader: Loader, elsewhere: Path) -> None:
    query = f"SELECT name, price::DOUBLE AS price FROM '{items(elsewhere)}' ORDER BY name DESC"

    assert loader.load(query).loaded == 2

    assert loader.column("name") == ["b", "a"]


def test_sql_over_the_store_is_a_source(loader: Loader) -> None:
    loader.load([Item("a", 1.0), Item("b", 2.0)])
    loader.finish("true")

    loader.load("SELECT name || '2' AS name, price FROM items.runs WHERE price > 1")

    assert loader.column("name") == ["a", "b", "b2"]


def test_sql_over_files_and_the_store_is_refused_with_a_remedy(
    loader: Loader, elsewhere: Path
) -> None:
    query = f"FROM '{items(elsewhere)}' ANTI JOIN items.runs USING (name)"

    with pytest.raises(SourceError, match=r"reads files, .* DuckDB connection of your own"):
        loader.load(query)


def test_sql_as_a_source_writes_nothing(loader: Loader, elsewhere: Path) -> None:
    for statement in STATEMENTS.values():
        # Text that is not a SELECT is treated as the path of a file.
        with pytest.raises(SourceError):
            loader.load(hostile(statement, elsewhere))

    assert sorted(os.listdir(elsewhere)) == ["other.duckdb", "secret.csv"]


def test_a_loaded_file_can_not_be_read_after_its_load(loader: Loader, elsewhere: Path) -> None:
    path = elsewhere / "items.parquet"
    pq.write_table(loader.arrow("SELECT 'a' AS name, 1.0::DOUBLE AS price"), path)
    loader.load(path)

    with pytest.raises(QueryError, match="disabled by configuration"):
        Relation(loader.store.source, f"FROM '{path}'").fetchall()

    views = "SELECT view_name AS name FROM duckdb_views() WHERE NOT internal"
    assert loader.query(views) == [{"name": "transitions"}]


def test_the_step_at_its_status_is_unchanged(open_bench: Callable[..., Bench]) -> None:
    bench = open_bench(sql_parcels(values={"label": "'moved'"}))
    bench.seed(2)

    bench.execute()

    assert bench.rows("status::VARCHAR, label") == [(Status.CHECKED.name, "moved")] * 2
