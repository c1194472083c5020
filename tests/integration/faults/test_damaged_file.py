"""A damaged file, or one of another program, is refused with a reason and stays unchanged."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import duckdb
import numpy as np
import pytest
from orders_kit import load, orders, outcome

import batchflow as bf
from kit.forked import call

ROWS = 30_000
HEADER_BYTES = 3 * 4096


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a store of several megabytes, without the free space at its end."""
    path = tmp_path_factory.mktemp("whole") / "orders.duckdb"
    with bf.Engine(path, orders(), workers=0) as engine:
        load(engine, ROWS)
        engine.run()
    with duckdb.connect(str(path), read_only=True) as connection:
        size = "SELECT used_blocks * block_size FROM pragma_database_size()"
        [(used,)] = connection.execute(size).fetchall()
    return path.read_bytes()[: HEADER_BYTES + used]


def contents(folder: Path) -> dict[str, bytes | None]:
    return {each.name: each.read_bytes() if each.is_file() else None for each in folder.iterdir()}


def refused_untouched(path: Path, match: str) -> None:
    before = contents(path.parent)
    for open_it in (lambda: bf.Engine(path, orders(), workers=0), lambda: bf.connect(path)):
        with pytest.raises(bf.StoreFormatError, match=match) as caught:
            open_it()
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)
        assert contents(path.parent) == before


def test_a_store_cut_off_anywhere_is_refused(tmp_path: Path, whole: bytes) -> None:
    chance = random.Random(3)
    path = tmp_path / "orders.duckdb"
    lengths = [1, 12, 4096, HEADER_BYTES - 1, HEADER_BYTES]
    lengths += [chance.randrange(HEADER_BYTES, len(whole)) for _ in range(10)]
    for length in [*lengths, len(whole) - 1]:
        path.write_bytes(whole[:length])
        refused_untouched(path, r"cut off|can't read it|not a DuckDB file")


def test_an_overwritten_header_is_refused(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "orders.duckdb"
    for first, last in ((0, HEADER_BYTES), (4096, HEADER_BYTES), (8, 16)):
        path.write_bytes(whole[:first] + bytes(last - first) + whole[last:])
        refused_untouched(path, r"can't read it|not a DuckDB file")


def test_a_file_of_a_newer_duckdb_is_refused(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "orders.duckdb"
    assert checked_header(whole[8:4096]) == whole[:4096]
    # The version of the storage follows the checksum and "DUCK".
    path.write_bytes(checked_header(whole[8:12] + struct.pack("<Q", 9_999) + whole[20:4096]))
    with path.open("ab") as file:
        file.write(whole[4096:])
    refused_untouched(path, "can't read it .*version")


def checked_header(page: bytes) -> bytes:
    """Return a header's bytes after DuckDB's checksum of them."""
    words = np.frombuffer(page, "<u8") * np.uint64(0xBF58476D1CE4E5B9)
    return struct.pack("<Q", int(np.bitwise_xor.reduce(words)) ^ 5381) + page


def test_a_store_of_a_newer_batchflow_is_refused(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "orders.duckdb"
    path.write_bytes(whole)
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE batchflow.store SET format_version = 99")
    refused_untouched(
        path, "has format 99, and this batchflow reads formats up to .* a newer batchflow"
    )


REFUSED = 3


def look(path: Path) -> None:
    try:
        with bf.Engine(path, orders(), workers=0) as engine:
            outcome(engine)
    # Fetching a relation raises DuckDB's own errors.
    except (bf.BatchflowError, duckdb.Error) as error:
        raise SystemExit(REFUSED) from error


def test_flipped_bytes_are_reported_and_never_crash_the_process(
    tmp_path: Path, whole: bytes
) -> None:
    chance = random.Random(5)
    path = tmp_path / "orders.duckdb"
    refused = 0
    for _ in range(5):
        damaged = bytearray(whole)
        block = chance.randrange(HEADER_BYTES, len(whole) - 300_000)
        for at in range(block, block + 270_000, 4_096):
            damaged[at] ^= 0xFF
        path.write_bytes(damaged)
        seen = call(look, path)
        assert seen.code in (0, REFUSED), seen.output
        refused += seen.code == REFUSED
    assert refused >= 2
