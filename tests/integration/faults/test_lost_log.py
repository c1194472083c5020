"""A file that was separated from its log is refused, until the two are together again."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from orders_kit import load, orders, outcome, undisturbed

import batchflow as bf
from batchflow import crash_point
from batchflow.store.database.checkpoint import journal_of
from batchflow.store.database.new_file import log_of
from kit.open_store import open_store

ROWS = 200
ACCEPT = "UPDATE batchflow.store SET log_path = NULL"


@dataclass
class Killed:
    """The files that an engine would leave if it were killed, at several moments."""

    folder: Path

    def copied(self, moment: str, to: Path) -> Path:
        for name in ("orders.duckdb", "orders.duckdb.wal"):
            shutil.copy(self.folder / moment / name, to / name)
        return to / "orders.duckdb"

    @property
    def log(self) -> Path:
        return log_of(self.folder / "live" / "orders.duckdb")


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    folder = tmp_path_factory.mktemp("killed")
    live = folder / "live"
    live.mkdir()

    def keep(point: crash_point.CrashPoint) -> None:
        if point == "at_checkpoint":
            shutil.copytree(live, folder / "at_checkpoint")

    with open_store(live / "orders.duckdb", orders()) as store:
        load(store, ROWS)
        shutil.copytree(live, folder / "loaded")
        crash_point.arm(keep)
        store.store.connection.fold_log()
        crash_point.arm(None)
        shutil.copytree(live, folder / "folded")
        store.drain()
        shutil.copytree(live, folder / "drained")
    return Killed(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def refused_untouched(path: Path, match: str) -> str:
    before = contents(path.parent)
    for open_it in (lambda: bf.Engine(path, orders(), workers=0), lambda: bf.connect(path)):
        with pytest.raises(bf.StoreError, match=match) as caught:
            open_it()
        assert "\n" not in str(caught.value)
        assert contents(path.parent) == before
    return str(caught.value)


def opens_completely(path: Path) -> None:
    with bf.Engine(path, orders(), workers=0) as engine:
        engine.run()
        assert outcome(engine) == undisturbed(ROWS)


@pytest.mark.parametrize("moment", ["loaded", "drained"])
def test_a_store_without_its_log_is_refused(killed: Killed, tmp_path: Path, moment: str) -> None:
    path = killed.copied(moment, tmp_path)
    log_of(path).unlink()
    refused_untouched(path, "the log with its last commits is missing or empty")


def test_an_empty_log_is_a_missing_one(killed: Killed, tmp_path: Path) -> None:
    path = killed.copied("drained", tmp_path)
    log_of(path).write_bytes(b"")
    with pytest.raises(bf.StoreError, match="is missing or empty"):
        bf.Engine(path, orders(), workers=0)


def test_a_copy_opens_as_soon_as_it_has_its_log(killed: Killed, tmp_path: Path) -> None:
    path = killed.copied("drained", tmp_path)
    copy = tmp_path / "elsewhere" / "copy.duckdb"
    copy.parent.mkdir()
    shutil.copy(path, copy)
    message = refused_untouched(copy, "move or copy it to")
    assert str(killed.log) in message
    assert str(log_of(copy)) in message
    shutil.copy(log_of(path), log_of(copy))
    opens_completely(copy)


def test_the_loss_of_a_log_can_be_accepted(killed: Killed, tmp_path: Path) -> None:
    path = killed.copied("drained", tmp_path)
    log_of(path).unlink()
    assert ACCEPT in refused_untouched(path, "If it is lost")
    with duckdb.connect(str(path)) as connection:
        connection.execute(ACCEPT)
    opens_completely(path)


def test_the_log_of_another_store_is_refused(killed: Killed, tmp_path: Path) -> None:
    path = tmp_path / "orders.duckdb"
    bf.Engine(path, orders(), workers=0).close()
    shutil.copy(killed.folder / "drained" / "orders.duckdb.wal", log_of(path))
    message = refused_untouched(path, "belongs to another file")
    assert str(log_of(path)) in message
    log_of(path).unlink()
    bf.Engine(path, orders(), workers=0).close()


def test_an_older_log_of_the_store_is_refused(killed: Killed, tmp_path: Path) -> None:
    path = killed.copied("drained", tmp_path)
    with bf.Engine(path, orders(), workers=0):
        pass
    shutil.copy(killed.folder / "loaded" / "orders.duckdb.wal", log_of(path))
    refused_untouched(path, "an older or newer copy")


def test_a_log_that_can_not_be_read_is_refused(killed: Killed, tmp_path: Path) -> None:
    path = killed.copied("drained", tmp_path)
    damaged = bytearray(log_of(path).read_bytes())
    damaged[len(damaged) // 2] ^= 255
    log_of(path).write_bytes(damaged)
    refused_untouched(path, "The log .* can't be read")


def test_a_copy_by_duckdb_needs_no_log(killed: Killed, tmp_path: Path) -> None:
    path = killed.copied("drained", tmp_path)
    copy = tmp_path / "copy.duckdb"
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS source (READ_ONLY); ATTACH '{copy}' AS copied")
        connection.execute("COPY FROM DATABASE source TO copied")
    opens_completely(copy)


def test_a_store_whose_log_another_program_folded_opens(killed: Killed, tmp_path: Path) -> None:
    path = killed.copied("drained", tmp_path)
    duckdb.connect(str(path)).close()
    assert not log_of(path).exists()
    opens_completely(path)


def test_a_checkpoint_that_was_killed_before_the_next_log_lost_nothing(
    killed: Killed, tmp_path: Path
) -> None:
    path = killed.copied("folded", tmp_path)
    log_of(path).unlink()
    shutil.copy(journal_of(killed.folder / "at_checkpoint" / "orders.duckdb"), journal_of(path))
    for _ in range(2):
        with bf.connect(path) as reader:
            assert len(reader.runs().fetchall()) == ROWS
    opens_completely(path)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
