"""A load that fails stores nothing, one that is killed all or nothing; both can be repeated."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from orders_kit import Order, is_clean, load, orders, outcome

import batchflow as bf
from kit.forked import start

ROWS = 21_000
FIRST = 500
KILLS = 3
LONGEST_LOAD_SECONDS = 0.2


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[bf.Engine]:
    """Yield an engine with some unfinished runs, whose foreign ids don't occur in the loads."""
    with bf.Engine(tmp_path / "orders.duckdb", orders(), workers=0) as engine:
        engine.trigger_many(
            f"SELECT -1 - range AS number FROM range({FIRST})", foreign_id="number", at="NEW"
        )
        yield engine


def whole_table() -> pa.Table:
    return pa.table(
        {"number": range(ROWS), "label": [f"{n * 7919 % ROWS:>030d}" for n in range(ROWS)]}
    )


def assert_loads_nothing_then_all(engine: bf.Engine, broken: Any, whole: Any) -> None:
    before = outcome(engine)
    with pytest.raises(bf.SourceError) as caught:
        engine.trigger_many(broken, foreign_id="number", at="NEW")
    assert str(caught.value)
    assert outcome(engine) == before
    report = engine.trigger_many(whole, foreign_id="number", at="NEW")
    assert (report.loaded, report.skipped_conflicts) == (ROWS, 0)
    assert numbers(engine) == (FIRST + ROWS, FIRST + ROWS, FIRST + ROWS - 1)


def numbers(engine: bf.Engine) -> tuple[int, int, int]:
    """Return the number of runs, the number of foreign ids, and the last run's number."""
    [found] = engine.runs().aggregate("count(*), count(DISTINCT foreign_id), max(seq)").fetchall()
    return found


@pytest.mark.parametrize("after", [0, 16_384, ROWS - 1])
def test_an_iterable_that_raises_loads_nothing(engine: bf.Engine, after: int) -> None:
    def broken() -> Iterator[Order]:
        yield from (Order(number) for number in range(after))
        raise OSError("the connection is gone")

    assert_loads_nothing_then_all(engine, broken(), (Order(number) for number in range(ROWS)))


def test_an_arrow_reader_that_raises_loads_nothing(engine: bf.Engine) -> None:
    table = whole_table()

    def broken() -> Iterator[pa.RecordBatch]:
        yield from table.to_batches(max_chunksize=ROWS // 6)[:4]
        raise OSError("the connection is gone")

    reader = pa.RecordBatchReader.from_batches(table.schema, broken())
    assert_loads_nothing_then_all(engine, reader, table)


def test_truncated_and_damaged_parquet_files_load_nothing(
    engine: bf.Engine, tmp_path: Path
) -> None:
    chance = random.Random(8)
    whole, broken = tmp_path / "whole.parquet", tmp_path / "broken.parquet"
    pq.write_table(whole_table(), whole, row_group_size=ROWS // 6)
    written = whole.read_bytes()
    cut = [written[: chance.randrange(len(written))] for _ in range(4)]
    # A page in the middle is damaged. The row groups before it can be read.
    middle = len(written) // 2
    damaged = written[:middle] + bytes(20_000) + written[middle + 20_000 :]
    before = outcome(engine)
    for content in (b"", *cut, damaged):
        broken.write_bytes(content)
        with pytest.raises(bf.SourceError):
            engine.trigger_many(broken, foreign_id="number", at="NEW")
        assert outcome(engine) == before
    broken.write_bytes(damaged)
    assert_loads_nothing_then_all(engine, broken, whole)


@pytest.mark.parametrize("line", [2, ROWS // 2, ROWS])
def test_a_csv_file_with_a_broken_line_loads_nothing(
    engine: bf.Engine, tmp_path: Path, line: int
) -> None:
    lines = ["number,label", *(f"{number},text {number}" for number in range(ROWS))]
    whole, broken = tmp_path / "whole.csv", tmp_path / "broken.csv"
    whole.write_text("\n".join(lines))
    lines[line - 1] = f'{line},"no end,1,2,3'
    broken.write_text("\n".join(lines))
    assert_loads_nothing_then_all(engine, broken, whole)


def test_a_missing_file_loads_nothing(engine: bf.Engine, tmp_path: Path) -> None:
    table = whole_table()
    parts = [tmp_path / f"part-{number}.parquet" for number in range(3)]
    for number, part in enumerate(parts):
        pq.write_table(table.slice(number * ROWS // 3, ROWS // 3), part)
    gone = parts[1].read_bytes()
    parts[1].unlink()
    before = outcome(engine)
    with pytest.raises(bf.SourceError):
        engine.trigger_many(parts, foreign_id="number", at="NEW")
    assert outcome(engine) == before
    parts[1].write_bytes(gone)
    assert engine.trigger_many(parts, foreign_id="number", at="NEW").loaded == ROWS


def test_a_file_that_shrinks_while_it_is_read_loads_nothing(
    engine: bf.Engine, tmp_path: Path
) -> None:
    """The user's own source reads a file that another process truncates."""
    file = tmp_path / "numbers.txt"
    file.write_text("".join(f"{number:08d}\n" for number in range(ROWS)))

    def read() -> Iterator[Order]:
        with file.open() as lines:
            for place, line in enumerate(lines):
                if place == ROWS // 3:
                    os.truncate(file, ROWS // 3 * 9 + 70_003)
                yield Order(int(line) if len(line) == 9 else int("cut off: " + line))

    whole = [Order(number) for number in range(ROWS)]
    assert_loads_nothing_then_all(engine, read(), whole)


def load_and_wait(store: Path, file: Path, kind: str, reports: Connection) -> None:
    with bf.Engine(store, orders(), workers=0) as engine:
        source: Any = {
            "objects": lambda: (Order(number) for number in range(ROWS)),
            "parquet": lambda: file,
            "sql": lambda: f"SELECT range AS number FROM range({ROWS})",
        }[kind]()
        reports.send("loading")
        engine.trigger_many(source, foreign_id="number", at="NEW")
        reports.send("loaded")
        signal.pause()


@pytest.mark.parametrize("kind", ["objects", "parquet", "sql"])
def test_a_killed_load_stored_all_or_nothing(tmp_path: Path, kind: str) -> None:
    chance, file = random.Random(kind), tmp_path / "whole.parquet"
    pq.write_table(whole_table(), file)
    for kill in range(KILLS):
        store = tmp_path / str(kill) / "orders.duckdb"
        store.parent.mkdir()
        reports, reporting = Pipe()
        process = start(load_and_wait, store, file, kind, reporting)
        assert reports.recv() == "loading"
        if kill == 0:
            # The first process has loaded everything, and is killed before it closes the store.
            assert reports.recv() == "loaded"
        else:
            time.sleep(chance.uniform(0, LONGEST_LOAD_SECONDS))
        process.kill()
        process.join()
        with bf.Engine(store, orders(), workers=0) as engine:
            count = engine.runs().aggregate("count(*)").fetchall()[0][0]
            assert count in ((ROWS,) if kill == 0 else (0, ROWS))
            assert load(engine, ROWS) == ROWS - count
            assert load(engine, ROWS) == 0
            assert numbers(engine) == (ROWS, ROWS, ROWS - 1)
        assert is_clean(store.parent)
