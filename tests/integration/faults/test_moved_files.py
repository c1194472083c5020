"""An engine whose files another program moves, removes or replaces loses nothing silently."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from orders_kit import Order, load, orders

import batchflow as bf
from batchflow.store.database.new_file import log_of

ROWS = 100


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder / "orders.duckdb"


def opened(path: Path) -> bf.Engine:
    return bf.Engine(path, orders(), workers=0, config=bf.EngineConfig(serve=False))


def runs(path: Path) -> int:
    with opened(path) as engine:
        return len(engine.runs().fetchall())


def replace_log(log: Path) -> None:
    log.unlink()
    log.write_bytes(b"of another program")


def cut_log_off(log: Path) -> None:
    os.truncate(log, log.stat().st_size - 1)


@pytest.mark.parametrize("lose", [Path.unlink, replace_log, cut_log_off])
def test_the_next_commit_replaces_a_log_that_was_removed(
    store: Path, tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    with opened(store) as engine:
        load(engine, ROWS)
        lose(log_of(store))
        engine.trigger("last", Order(1))
        killed = shutil.copytree(store.parent, tmp_path / "killed")
    assert runs(killed / store.name) == ROWS + 1


def test_closing_writes_what_was_in_a_removed_log_into_the_file(store: Path) -> None:
    with opened(store) as engine:
        load(engine, ROWS)
        log_of(store).unlink()
    assert runs(store) == ROWS


def test_nothing_is_stored_while_a_query_keeps_a_removed_log_from_being_replaced(
    store: Path,
) -> None:
    with opened(store) as engine:
        load(engine, ROWS)
        reader = engine.runs().to_arrow_reader(1)
        reader.read_next_batch()
        engine.run()
        log_of(store).unlink()
        with pytest.raises(bf.StoreError, match="End all queries"):
            engine.trigger("refused", Order(1))
        del reader
        engine.trigger("last", Order(1))
    assert runs(store) == ROWS + 1


def test_an_engine_continues_once_its_file_is_back_in_place(store: Path) -> None:
    with opened(store) as engine:
        load(engine, ROWS)
        moved = store.rename(store.with_name("moved.duckdb"))
        for write in (lambda: engine.trigger("refused", Order(1)), engine.run):
            with pytest.raises(bf.StoreError, match="moved or removed while it was open"):
                write()
        assert len(engine.runs().fetchall()) == ROWS
        moved.rename(store)
        engine.trigger("last", Order(1))
    assert runs(store) == ROWS + 1


def test_a_store_that_was_moved_under_an_engine_opens_with_its_log(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    moved = store.with_name("moved.duckdb")
    with caplog.at_level(logging.WARNING, logger="batchflow"), opened(store) as engine:
        load(engine, ROWS)
        store.rename(moved)
    assert "moved or removed while it was open" in caplog.text
    with pytest.raises(bf.StoreError, match=str(log_of(store))):
        opened(moved)
    log_of(store).rename(log_of(moved))
    assert runs(moved) == ROWS


def test_nothing_is_stored_once_another_file_is_in_place(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.duckdb"
    with opened(other) as engine:
        load(engine, 1)
    content = other.read_bytes()
    with opened(store) as engine:
        load(engine, ROWS)
        other.replace(store)
        with pytest.raises(bf.StoreError, match="Another file is at"):
            engine.trigger("refused", Order(1))
    assert store.read_bytes() == content
    with pytest.raises(bf.StoreError, match="belongs to another file"):
        opened(store)
    log_of(store).rename(tmp_path / "its.wal")
    assert runs(store) == 1


def test_nothing_is_stored_once_the_file_was_cut_off(store: Path) -> None:
    with opened(store) as engine:
        load(engine, ROWS)
        os.truncate(store, 20_000)
        with pytest.raises(bf.StoreError, match="cut off"):
            engine.trigger("refused", Order(1))
    assert store.stat().st_size == 20_000


@pytest.mark.parametrize("rows", [1, 100 * ROWS])
def test_nothing_is_stored_once_another_file_was_copied_over_it(
    store: Path, tmp_path: Path, rows: int
) -> None:
    other = tmp_path / "other.duckdb"
    with opened(other) as engine:
        load(engine, rows)
    with opened(store) as engine:
        load(engine, ROWS)
        os.truncate(store, 0)
        shutil.copy(other, store)
        with pytest.raises(bf.StoreError, match=r"copying another file over it|cut off"):
            engine.trigger("refused", Order(1))
    assert store.read_bytes() == other.read_bytes()


def test_nothing_is_stored_once_the_folder_was_removed(store: Path) -> None:
    with opened(store) as engine:
        load(engine, ROWS)
        shutil.rmtree(store.parent)
        with pytest.raises(bf.StoreError, match="moved or removed while it was open"):
            engine.run()
        assert len(engine.runs().fetchall()) == ROWS
    assert not store.parent.exists()
