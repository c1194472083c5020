"""A file is loaded once into a workflow: the ledger knows files by their content."""

from __future__ import annotations

import os
from datetime import UTC
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from loading_kit import NOW, Item, Loader, opened

from batchflow.errors import InvalidRowsError, SourceError
from batchflow.operation import LoadReport
from batchflow.store.loading import ledger

LEDGER = "SELECT * FROM batchflow.loads ORDER BY load_id"


def write(path: Path, *names: str, price: Any = 1) -> Path:
    path.write_text("\n".join(["name,price", *(f"{name},{price}" for name in names), ""]))
    return path


def names_of(report: LoadReport) -> tuple[list[str], list[str]]:
    """Return the names of the files that were loaded, and of those that were skipped."""
    return (
        [Path(each.path).name for each in report.files],
        [Path(each.path).name for each in report.skipped_files],
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "a.csv", "a1", "a2")
    write(tmp_path / "b.csv", "b1")
    return tmp_path


def test_a_glob_loads_only_files_that_were_never_loaded(loader: Loader, folder: Path) -> None:
    loader.load(folder / "*.csv")
    loader.finish("true")
    write(folder / "c.csv", "c1")

    report = loader.load(folder / "*.csv")

    assert names_of(report) == (["c.csv"], ["a.csv", "b.csv"])
    assert loader.column("foreign_id") == ["a1", "a2", "b1", "c1"]
    assert (report.loaded, report.first_seq, report.last_seq) == (1, 3, 3)
    assert report.skipped_files[0].loaded_at == NOW


def test_the_ledger_has_each_file_with_its_counts(
    loader: Loader, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    write(folder / "b.csv", "b1", "b1", "a2", price="x")
    write(folder / "c.csv", "c1", "c1", "a2")

    loader.load("*.csv", on_invalid="skip")

    found = loader.query(LEDGER)
    keys = ("load_id", "given", "path", "rows", "inserted", "updated", "skipped", "rejected")
    assert [tuple(row[key] for key in keys) for row in found] == [
        (1, "*.csv", str(folder / "a.csv"), 2, 2, 0, 0, 0),
        (2, "*.csv", str(folder / "b.csv"), 3, 0, 0, 0, 3),
        (3, "*.csv", str(folder / "c.csv"), 3, 1, 0, 0, 2),
    ]
    file = os.stat(folder / "a.csv")
    seqs = [(row["first_seq"], row["last_seq"]) for row in found]
    assert seqs == [(0, 1), (None, None), (2, 2)]
    assert (found[0]["bytes"], found[0]["status"]) == (file.st_size, "CREATED")
    assert found[0]["modified_at"].timestamp() == pytest.approx(file.st_mtime, abs=1e-5)


def test_the_same_content_under_another_name_is_skipped(loader: Loader, folder: Path) -> None:
    (folder / "d.csv").write_bytes((folder / "a.csv").read_bytes())

    first = loader.load(folder / "*.csv")
    second = loader.load(folder / "d.csv")

    assert names_of(first) == (["a.csv", "b.csv"], ["d.csv"])
    assert (second.loaded, second.skipped_files[0].loaded_path) == (0, str(folder / "a.csv"))


def test_other_content_under_the_same_name_is_a_new_file(loader: Loader, folder: Path) -> None:
    loader.load(folder / "a.csv")
    write(folder / "a.csv", "a1", "a2", "a3")

    report = loader.load(folder / "a.csv")

    assert (report.loaded, report.files[0].rejected) == (1, 2)
    assert report.files[0].changed_since == NOW
    assert "changed: 1 file" in str(report)


def test_again_loads_a_file_that_was_loaded(loader: Loader, folder: Path) -> None:
    loader.load(folder / "a.csv")
    loader.finish("true")

    report = loader.load(folder / "a.csv", again=True)

    assert (report.loaded, names_of(report)) == (2, (["a.csv"], []))
    assert [row["load_id"] for row in loader.query(LEDGER)] == [1, 2]


def test_a_file_of_another_workflow_was_not_loaded(loader: Loader, folder: Path) -> None:
    loader.load(folder / "a.csv")
    with loader.connection.write() as cursor:
        cursor.execute("UPDATE batchflow.loads SET workflow = 'others'")

    assert loader.load(folder / "a.csv", on_conflict="skip").skipped_files == ()


def test_a_load_that_fails_enters_none_of_its_files(loader: Loader, folder: Path) -> None:
    write(folder / "c.csv", "c1", price="x")

    with pytest.raises(InvalidRowsError, match=r"c\.csv"):
        loader.load(folder / "*.csv")

    assert loader.query(LEDGER) == []
    assert loader.column("seq") == []
    write(folder / "c.csv", "c1")
    assert loader.load(folder / "*.csv").loaded == 4


def test_a_file_that_is_written_to_while_it_is_read_is_refused(
    loader: Loader, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ledger.source_files

    def files_then_write(*arguments: Any) -> Any:
        files = found(*arguments)
        write(folder / "a.csv", "a1", "a2", "a3")
        return files

    monkeypatch.setattr("batchflow.store.loading.load.source_files", files_then_write)

    with pytest.raises(SourceError, match=r"a\.csv' changed while it was read"):
        loader.load(folder / "a.csv")

    assert loader.query(LEDGER) == []


def test_a_file_given_twice_is_loaded_once(loader: Loader, folder: Path) -> None:
    report = loader.load([folder / "a.csv", folder / "*.csv"])

    assert names_of(report) == (["a.csv", "b.csv"], [])
    assert report.loaded == 3


def test_frames_and_objects_are_not_in_the_ledger(loader: Loader) -> None:
    for source in (pa.table({"name": ["a"], "price": [1.0]}), [Item("a", 1.0)]):
        assert loader.load(source).files == ()
        loader.finish("true")

    assert loader.column("foreign_id") == ["a", "a"]
    assert loader.query(LEDGER) == []


def test_the_report_states_the_files(loader: Loader, folder: Path) -> None:
    loader.load(folder / "a.csv")

    shown = str(loader.load(folder / "*.csv"))

    day = f"{NOW.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    assert shown == (
        "items: 1 run loaded at CREATED from 1 file\n"
        f"  skipped: 1 file, already loaded ('{folder / 'a.csv'}' on {day}); "
        "again=True or --again overrides\n"
        f"  filled with defaults: count, note in '{folder / 'b.csv'}'"
    )


def test_the_ledger_is_kept_when_the_store_is_closed(tmp_path: Path, folder: Path) -> None:
    for expected in (3, 0):
        with opened(path=tmp_path / "items.duckdb") as loader:
            assert loader.load(folder / "*.csv").loaded == expected
            loader.finish("true")
