"""A log that a power cut has torn is cut off where it is damaged."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import duckdb
import pytest
from orders_kit import Order, load, orders

import batchflow as bf
from batchflow.store.database.new_file import log_of

ROWS = 50
COMMITS = 4
PAGE_BYTES = 64
HEADER_BYTES = 12_288
BLOCK_BYTES = 262_144


@pytest.fixture
def torn(tmp_path: Path) -> tuple[Path, list[int]]:
    """Return the files that a kill leaves, and the sizes of the log after each commit."""
    live, killed = tmp_path / "live", tmp_path / "killed"
    live.mkdir()
    sizes = []
    config = bf.EngineConfig(serve=False)
    with bf.Engine(live / "orders.duckdb", orders(), workers=0, config=config) as engine:
        load(engine, ROWS)
        for number in range(COMMITS):
            engine.trigger(f"single-{number}", Order(1))
            sizes.append(log_of(live / "orders.duckdb").stat().st_size)
        shutil.copytree(live, killed)
    return killed / "orders.duckdb", sizes


def opened(path: Path) -> int:
    with bf.Engine(path, orders(), workers=0, config=bf.EngineConfig(serve=False)) as engine:
        assert engine.check().ok
        engine.trigger("after", Order(1))
        return len(engine.runs())


def test_a_torn_log_is_cut_off_where_it_is_damaged(torn: tuple[Path, list[int]]) -> None:
    path, sizes = torn
    log = log_of(path)
    content = bytearray(log.read_bytes())
    # A page of the third commit wasn't written.
    page = sizes[1] + 40
    content[page : page + PAGE_BYTES] = bytes(PAGE_BYTES)
    log.write_bytes(content)
    with pytest.raises(bf.StoreError, match="batchflow repair"):
        bf.Engine(path, orders(), workers=0)
    report = bf.repair(path)
    assert sizes[1] <= report.log_bytes < sizes[2]
    assert report.log_bytes_before == sizes[-1]
    assert report.last_change_at is not None
    assert report.kept_as is not None
    assert Path(report.kept_as).read_bytes() == content
    assert opened(path) == ROWS + 2 + 1


def test_a_whole_log_is_left_alone(torn: tuple[Path, list[int]]) -> None:
    path, _ = torn
    listed = set(os.listdir(path.parent))
    before = {each.name: each.read_bytes() for each in (path, log_of(path))}
    report = bf.repair(path)
    assert (report.lost_bytes, report.kept_as) == (0, None)
    assert str(report) == "The log isn't damaged, and nothing was changed."
    assert {each.name: each.read_bytes() for each in (path, log_of(path))} == before
    assert set(os.listdir(path.parent)) == listed
    assert opened(path) == ROWS + COMMITS + 1


def test_a_store_that_is_open_or_missing_is_not_repaired(tmp_path: Path) -> None:
    path = tmp_path / "orders.duckdb"
    with pytest.raises(bf.StoreFormatError, match="There is no store"):
        bf.repair(path)
    with bf.Engine(path, orders(), workers=0), pytest.raises(bf.StoreHeldError):
        bf.repair(path)
    path.write_bytes(b"x" * 40_000)
    with pytest.raises(bf.StoreError, match="isn't torn, so nothing was changed"):
        bf.repair(path)


@pytest.mark.parametrize("zeros", [8, 4096])
def test_a_log_that_begins_with_zeros_is_refused_and_kept(
    torn: tuple[Path, list[int]], zeros: int
) -> None:
    path, _ = torn
    log = log_of(path)
    content = bytes(zeros) + log.read_bytes()[zeros:]
    log.write_bytes(content)
    for opening in (
        lambda: bf.Engine(path, orders(), workers=0),
        lambda: bf.connect(path).counts(),
    ):
        with pytest.raises(bf.StoreError, match="is damaged at its beginning"):
            opening()
    assert log.read_bytes() == content


def test_a_damaged_file_is_not_taken_for_a_torn_log(tmp_path: Path) -> None:
    path = tmp_path / "orders.duckdb"
    with bf.Engine(path, orders(), workers=0) as engine:
        load(engine, ROWS)
        engine.run(progress=False)
    with duckdb.connect(str(path)) as connection:
        [(block,)] = connection.execute(
            "SELECT min(block_id) FROM pragma_storage_info('batchflow.workflows') "
            "WHERE block_id >= 0"
        ).fetchall()
    content = bytearray(path.read_bytes())
    content[HEADER_BYTES + block * BLOCK_BYTES] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(bf.StoreError, match=r"is damaged .* restore the file from a backup"):
        bf.repair(path)
    with pytest.raises(bf.StoreError, match=r"is damaged .* restore the file from a backup"):
        bf.connect(path).check()
    assert path.read_bytes() == content
