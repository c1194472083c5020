from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from store_kit import NOW, Bench, Parcel, Status, parcels

from batchflow.definition.workflow import Workflow
from batchflow.errors import MigrationError, StoreFormatError
from batchflow.store import Store
from kit.open_store import OpenStore


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refused_untouched(path: Path, match: str) -> None:
    before = digest(path)
    with pytest.raises(StoreFormatError, match=match):
        Store.open(path, [parcels()], clock=lambda: NOW)
    assert digest(path) == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_text_file_is_refused(path: Path) -> None:
    path.write_text("hello " * 10_000)
    refused_untouched(path, "is not a DuckDB file")


def test_an_empty_file_is_refused(path: Path) -> None:
    path.touch()
    refused_untouched(path, "is not a DuckDB file")


def test_a_sqlite_database_is_refused(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t(a)")
    connection.close()
    refused_untouched(path, "SQLite")


def test_a_duckdb_file_of_another_program_is_refused(path: Path) -> None:
    connection = duckdb.connect(str(path))
    connection.execute("CREATE TABLE t(a INTEGER)")
    connection.close()
    refused_untouched(path, "batchflow did not create")


@pytest.mark.parametrize("kept", [100, 8_192, 12_288, 300_000])
def test_a_truncated_store_is_refused(
    open_bench: Callable[..., Bench], path: Path, kept: int
) -> None:
    bench = open_bench()
    bench.seed(50_000, weight="hash(range) % 1000000007")
    bench.store.close()
    path.write_bytes(path.read_bytes()[:kept])
    refused_untouched(path, "cut off|can't read")


def write_much_and_stop(bench: Bench) -> None:
    with bench.store.connection.write() as cursor:
        cursor.execute("CREATE TABLE parcels.large AS SELECT hash(range) AS h FROM range(1000000)")
        raise KeyboardInterrupt


def test_a_store_whose_large_load_was_rolled_back_opens(
    open_bench: Callable[..., Bench], path: Path
) -> None:
    bench = open_bench()
    bench.seed(1)
    with pytest.raises(KeyboardInterrupt):
        write_much_and_stop(bench)
    bench.store.close()
    assert open_bench().rows("seq") == [(0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM batchflow.store",
        "UPDATE batchflow.store SET format_version = NULL",
        "UPDATE batchflow.store SET format_version = 0",
    ],
)
def test_a_store_that_names_no_format_is_refused(
    open_bench: Callable[..., Bench], path: Path, statement: str
) -> None:
    open_bench().store.close()
    with duckdb.connect(str(path)) as connection:
        connection.execute(statement)
    refused_untouched(path, "its header names the format")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreFormatError, match="not a file"):
        Store.open(tmp_path, [parcels()], clock=lambda: NOW)


def test_a_log_without_its_store_is_refused_and_kept(path: Path) -> None:
    log = Path(f"{path}.wal")
    log.write_bytes(b"acknowledged")
    with pytest.raises(StoreFormatError, match="put the store back"):
        Store.open(path, [parcels()], clock=lambda: NOW)
    assert log.read_bytes() == b"acknowledged"
    assert not path.exists()


def test_the_leftovers_of_a_killed_creation_are_replaced(
    open_bench: Callable[..., Bench], path: Path
) -> None:
    Path(f"{path}.new").write_bytes(b"half")
    Path(f"{path}.new.wal").write_bytes(b"half")
    bench = open_bench()
    assert bench.questions.sql("SELECT count(*) FROM batchflow.store").fetchall() == [(1,)]
    assert not Path(f"{path}.new").exists()


def test_a_reopened_store_has_its_runs_and_their_ids(open_bench: Callable[..., Bench]) -> None:
    bench = open_bench()
    bench.seed(3)
    before = bench.rows("run_id, foreign_id, created_at")
    bench.store.close()
    again = open_bench()
    assert again.rows("run_id, foreign_id, created_at") == before
    assert [row[0] for row in before] == [again.run_id(seq) for seq in range(3)]
    assert {row[0].version for row in before} == {8}


def test_two_workflows_in_a_store_have_different_run_ids(path: Path) -> None:
    first, second = parcels("first"), parcels('sec"ond')
    store = Store.open(path, [first, second], clock=lambda: NOW)
    Bench(store, first).seed(1)
    Bench(store, second).seed(1)
    ids = [Bench(store, each).rows("run_id")[0][0] for each in (first, second)]
    questions = OpenStore(store, first, second)
    assert [questions.find(run_id).workflow for run_id in ids] == [first.name, second.name]
    store.close()


def test_workflows_whose_names_differ_only_by_case_are_refused(path: Path) -> None:
    with pytest.raises(MigrationError, match="schema"):
        Store.open(path, [parcels("parcels"), parcels("Parcels")], clock=lambda: NOW)
    Store.open(path, [parcels()], clock=lambda: NOW).close()


def setting(store: Store, name: str) -> object:
    # Queries of users can't read settings.
    with store.connection.reading() as cursor:
        [(value,)] = cursor.execute("SELECT current_setting(?)", [name]).fetchall()
    return value


def test_settings_apply_to_every_cursor(bench: Bench) -> None:
    assert setting(bench.store, "TimeZone") == "UTC"
    assert setting(bench.store, "autoinstall_known_extensions") is False


def test_the_memory_limit_is_set(path: Path) -> None:
    workflow: Workflow[Parcel, Status] = parcels()
    store = Store.open(path, [workflow], clock=lambda: NOW, memory_limit="512MiB")
    assert setting(store, "memory_limit") == "512.0 MiB"
    store.close()
