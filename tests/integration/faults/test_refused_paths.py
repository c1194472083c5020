"""Paths where no store can be are refused with a reason, and nothing is changed there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from orders_kit import load, orders, outcome, undisturbed
from small_disk import mounted

import batchflow as bf

ROWS = 500
READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"'
READ_ONLY_FILE = 'mount --bind "$1/$2" "$1/$2" && mount -o remount,bind,ro "$1/$2"'


def made(folder: Path) -> None:
    with bf.Engine(folder / "orders.duckdb", orders(), workers=0) as engine:
        load(engine, ROWS)
        engine.run()


def refused(path: Path, *because: str) -> None:
    with pytest.raises(bf.StoreError) as caught:
        bf.Engine(path, orders(), workers=0)
    for part in (path.name, *because):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def folder_is_read_only(folder: Path) -> None:
    before = (folder / "orders.duckdb").read_bytes()
    refused(folder / "orders.duckdb", "Read-only file system")
    refused(folder / "another.duckdb", "Read-only file system")
    assert [each.name for each in folder.iterdir()] == ["orders.duckdb"]
    assert (folder / "orders.duckdb").read_bytes() == before
    with bf.connect(folder / "orders.duckdb") as reader:
        assert reader.runs().aggregate("count(*)").fetchall() == [(ROWS,)]


def file_is_read_only(folder: Path) -> None:
    before = (folder / "orders.duckdb").read_bytes()
    refused(folder / "orders.duckdb", "can't be written", "Read-only file system")
    assert [each.name for each in folder.iterdir()] == ["orders.duckdb"]
    assert (folder / "orders.duckdb").read_bytes() == before


@pytest.mark.parametrize(
    ("scenario", "mount"),
    [(folder_is_read_only, READ_ONLY), (file_is_read_only, READ_ONLY_FILE)],
)
def test_a_store_on_a_read_only_path_is_refused_and_readers_may_read_it(
    scenario: Callable[[Path], None], mount: str, tmp_path: Path
) -> None:
    made(tmp_path)
    mounted(scenario, tmp_path, mount, "orders.duckdb")
    with bf.Engine(tmp_path / "orders.duckdb", orders(), workers=0) as engine:
        assert outcome(engine) == undisturbed(ROWS)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    refused(folder, "is not a file")
    assert list(folder.iterdir()) == []
    assert list(tmp_path.iterdir()) == [folder]


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    refused(pipe, "is not a file")
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_device_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "null"
    link.symlink_to(os.devnull)
    refused(link)
    assert os.readlink(link) == os.devnull


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    refused(tmp_path / "file" / "orders.duckdb", "folder that exists")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_path_in_a_missing_folder_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere" / "orders.duckdb", "folder that exists")
    assert list(tmp_path.iterdir()) == []


def test_a_store_behind_a_dangling_link_is_created_at_its_target(tmp_path: Path) -> None:
    link = tmp_path / "link.duckdb"
    link.symlink_to(tmp_path / "orders.duckdb")
    bf.Engine(link, orders(), workers=0).close()
    assert (tmp_path / "orders.duckdb").is_file()
    assert link.is_symlink()
