"""Data that does not fit in memory is readable only by its owner, and removed after use."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from store_kit import NOW, Bench, parcels

from batchflow.access import connect
from batchflow.errors import StoreError
from batchflow.store import Store
from kit.forked import begin

SPILLING = "CREATE TEMP TABLE big AS SELECT range AS n, repeat('x' || range, 9) FROM range(1500000)"

SPILL_AND_WAIT = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}
from store_kit import NOW, parcels
from batchflow.store import Store

store = Store.open(sys.argv[1], [parcels()], clock=lambda: NOW, memory_limit="60MB")
store.connection.cursor().execute({SPILLING!r})
print("spilled", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def wide_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the system's temporary folder."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def open_small(path: Path | str) -> Store:
    return Store.open(path, [parcels()], clock=lambda: NOW, memory_limit="60MB")


def spill(store: Store) -> None:
    store.connection.cursor().execute(SPILLING)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def beside(path: Path) -> Path:
    return Path(f"{path}.tmp")


def killed_while_spilled(path: Path) -> None:
    with begin(SPILL_AND_WAIT, path) as process:
        assert process.stdout.readline() == "spilled\n"


def test_spilled_data_is_in_a_folder_that_only_its_owner_can_read(
    wide_umask: None, path: Path
) -> None:
    store = open_small(path)
    spill(store)

    spilled = list(beside(path).iterdir())
    assert sum(file.stat().st_size for file in spilled) > 10_000_000
    assert mode(beside(path)) == 0o700

    store.close()
    assert not beside(path).exists()


def test_an_existing_folder_becomes_readable_to_its_owner_only(path: Path) -> None:
    beside(path).mkdir(0o755)

    store = open_small(path)

    assert mode(beside(path)) == 0o700
    store.close()


def test_the_next_open_removes_what_a_killed_process_spilled(path: Path) -> None:
    killed_while_spilled(path)
    assert sum(file.stat().st_size for file in beside(path).iterdir()) > 10_000_000

    store = open_small(path)

    assert list(beside(path).iterdir()) == []
    store.close()
    assert sorted(os.listdir(path.parent)) == [path.name]


def test_files_of_other_programs_are_never_removed(path: Path) -> None:
    beside(path).mkdir()
    for name in ("notes.txt", "duckdb.txt", "my_duckdb_temp_1.tmp"):
        (beside(path) / name).write_text("mine")
    (beside(path) / "duckdb_temp_99999999_0_storage_DEFAULT-0.tmp").write_text("left")

    store = open_small(path)
    spill(store)
    store.close()

    assert sorted(os.listdir(beside(path))) == ["duckdb.txt", "my_duckdb_temp_1.tmp", "notes.txt"]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_spill_folder_that_is_a_link_or_a_file_is_refused(
    kind: str, path: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "duckdb_temp_1_0_storage_DEFAULT-0.tmp").write_text("another's")
    if kind == "file":
        beside(path).write_text("a file")
    else:
        beside(path).symlink_to(elsewhere)

    with pytest.raises(StoreError, match="not a folder of yours; rename or remove it"):
        open_small(path)

    assert len(list(elsewhere.iterdir())) == 1
    assert beside(path).is_symlink() or beside(path).read_text() == "a file"
    assert not path.exists()


def test_a_reader_spills_to_a_temporary_folder(
    wide_umask: None, file_bench: Bench, path: Path, temporary_folder: Path
) -> None:
    file_bench.store.close()

    query = "SELECT 1"
    one, other = (connect(path).sql(query).to_arrow_reader() for _ in range(2))
    assert [mode(folder) for folder in temporary_folder.iterdir()] == [0o700]
    assert sorted(os.listdir(path.parent)) == [path.name, "tmp"]
    # Two clients of one process share the file, and so the folder.
    assert one.read_all() == other.read_all()

    assert list(temporary_folder.iterdir()) == []


def test_a_store_in_memory_spills_to_a_temporary_folder(
    wide_umask: None, temporary_folder: Path
) -> None:
    store = open_small(":memory:")
    spill(store)

    [folder] = temporary_folder.iterdir()
    assert mode(folder) == 0o700
    assert list(folder.iterdir())

    store.close()
    assert list(temporary_folder.iterdir()) == []


def test_folders_of_killed_processes_are_removed_and_those_in_use_are_not(
    temporary_folder: Path,
) -> None:
    in_use = open_small(":memory:")
    [kept] = temporary_folder.iterdir()
    left = temporary_folder / "batchflow-spill-left"
    left.mkdir(0o700)
    (left / "duckdb_temp_99999999_0_storage_DEFAULT-0.tmp").write_text("left")

    other = open_small(":memory:")

    assert not left.exists()
    assert kept.exists()
    other.close()
    in_use.close()


def test_a_new_store_is_created_in_a_folder_that_only_its_owner_can_read(
    wide_umask: None, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    rename = Path.rename

    def looked_at(unfinished: Path, to: Path) -> Path:
        seen.append(mode(unfinished.parent))
        return rename(unfinished, to)

    monkeypatch.setattr(Path, "rename", looked_at)
    open_small(path).close()

    assert seen == [0o700]
    assert sorted(os.listdir(path.parent)) == [path.name]


def test_the_folder_and_the_umask_decide_which_users_can_open_a_store(
    path: Path, open_bench: Callable[..., Bench]
) -> None:
    before = os.umask(0o077)
    try:
        open_bench()
    finally:
        os.umask(before)

    assert mode(path) == 0o600
