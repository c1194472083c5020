"""A store opens with all its data after a checkpoint that was cut off in the middle of a write.

DuckDB rewrites its blocks of metadata in place. These tests combine the file before a checkpoint
with the file after it, which gives the file that a kill in between would leave.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from orders_kit import is_clean, load, orders, outcome, undisturbed

import batchflow as bf
from batchflow import crash_point
from batchflow.store.database.checkpoint import journal_of
from batchflow.store.database.open_file import HEADER_BYTES
from kit.open_store import open_store

ROWS = 5_000
BLOCK_BYTES = 262_144


@dataclass
class Cut:
    """A store's file before and after a checkpoint, with the files beside it."""

    folder: Path

    def at_begin(self, name: str) -> Path:
        return self.folder / "begin" / name

    @property
    def ended(self) -> bytes:
        return (self.folder / "ended").read_bytes()

    def torn(self, to: Path, written: int) -> Path:
        """Write the file of a checkpoint that was killed within the first metadata block."""
        before, after = self.at_begin("orders.duckdb").read_bytes(), self.ended
        half = after[HEADER_BYTES : HEADER_BYTES + written]
        rest = before[HEADER_BYTES + written : HEADER_BYTES + BLOCK_BYTES]
        others = after[HEADER_BYTES + BLOCK_BYTES :]
        (to / "orders.duckdb").write_bytes(before[:HEADER_BYTES] + half + rest + others)
        for name in ("orders.duckdb.wal", "orders.duckdb.checkpoint"):
            shutil.copy(self.at_begin(name), to / name)
        return to / "orders.duckdb"


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Cut:
    folder = tmp_path_factory.mktemp("cut")
    began = folder / "begin"
    with open_store(folder / "orders.duckdb", orders()) as store:
        load(store, ROWS)
        store.drain(limit=ROWS)
        store.store.connection.fold_log()
        store.drain()

        def keep(point: crash_point.CrashPoint) -> None:
            if point == "at_checkpoint":
                shutil.copytree(folder, began)

        crash_point.arm(keep)
        try:
            store.store.connection.fold_log()
        finally:
            crash_point.arm(None)
        # Closing the store may begin another checkpoint, which uses the blocks of this one again.
        shutil.copy(folder / "orders.duckdb", folder / "ended")
    return Cut(folder)


@pytest.mark.parametrize("written", [1, 4_096, 8_192, 100_000, BLOCK_BYTES - 1])
def test_a_half_written_block_is_restored(cut: Cut, written: int, tmp_path: Path) -> None:
    path = cut.torn(tmp_path, written)
    with bf.Engine(path, orders(), workers=0) as engine:
        assert outcome(engine) == undisturbed(ROWS)
    assert is_clean(tmp_path)


def test_a_reader_restores_it_too(cut: Cut, tmp_path: Path) -> None:
    path = cut.torn(tmp_path, 4_096)
    with bf.connect(path) as reader:
        assert reader.sql("SELECT count(*) FROM orders.runs").fetchall() == [(ROWS,)]
    assert not journal_of(path).exists()


def test_without_the_journal_the_store_can_not_be_opened(cut: Cut, tmp_path: Path) -> None:
    path = cut.torn(tmp_path, 4_096)
    journal_of(path).unlink()
    with pytest.raises(bf.StoreFormatError, match="checksum"):
        bf.Engine(path, orders(), workers=0)


def test_the_journal_of_a_checkpoint_that_had_not_begun_is_dropped(
    cut: Cut, tmp_path: Path
) -> None:
    path = tmp_path / "orders.duckdb"
    for name in ("orders.duckdb", "orders.duckdb.wal"):
        shutil.copy(cut.at_begin(name), tmp_path / name)
    kept = cut.at_begin("orders.duckdb.checkpoint").read_bytes()
    journal_of(path).write_bytes(kept[: len(kept) // 2])
    with bf.Engine(path, orders(), workers=0) as engine:
        assert outcome(engine) == undisturbed(ROWS)
    assert is_clean(tmp_path)


def test_a_finished_checkpoint_is_not_undone(cut: Cut, tmp_path: Path) -> None:
    path = tmp_path / "orders.duckdb"
    path.write_bytes(cut.ended)
    shutil.copy(cut.at_begin("orders.duckdb.checkpoint"), journal_of(path))
    with bf.Engine(path, orders(), workers=0) as engine:
        assert outcome(engine) == undisturbed(ROWS)
    assert is_clean(tmp_path)
