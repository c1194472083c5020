"""Limits of queries through the socket, from the request until the last row is sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from remote_kit import load, things

import batchflow as bf
from batchflow.errors import BatchflowError, QueryError

LONG = "SELECT r.*, repeat('x', 100) AS x FROM things.runs AS r, range(600)"
ENDLESS = "SELECT count(*) FROM range(10_000_000) a, range(10_000_000) b"


@pytest.fixture
def engine(path: Path) -> Iterator[bf.Engine]:
    with bf.Engine(path, things(), workers=0) as opened:
        load(opened, 1_000)
        yield opened


def stalled(engine: bf.Engine) -> pa.RecordBatchReader:
    """Return a reader that took one batch; its engine waits to send more."""
    reader = bf.connect(engine.path).sql(LONG).to_arrow_reader()
    assert reader.read_next_batch().num_rows
    return reader


def test_readers_that_stop_reading_block_no_other_query(engine: bf.Engine) -> None:
    readers = [stalled(engine) for _ in range(4)]
    client = bf.connect(engine.path)

    assert client.sql("SELECT 1").fetchall() == [(1,)]

    ended = []
    for reader in readers:
        try:
            ended.append(sum(batch.num_rows for batch in reader))
        except BatchflowError as error:
            ended.append(str(error))
    assert [text for text in ended if "took no rows" in str(text)]


def test_a_reader_that_stops_reading_does_not_keep_the_engine_open(engine: bf.Engine) -> None:
    reader = stalled(engine)
    closing = threading.Thread(target=engine.close, daemon=True)
    began = time.monotonic()

    closing.start()
    closing.join(8)

    assert not closing.is_alive()
    assert time.monotonic() - began < 8
    with pytest.raises(BatchflowError):
        reader.read_all()
    with bf.connect(engine.path) as client:
        assert not client.served
        assert len(client.runs()) == 1_000


def test_an_operation_that_takes_too_long_does_not_keep_the_engine_open(path: Path) -> None:
    config = bf.EngineConfig(grace_seconds=0.5)
    endless = f"EXISTS ({ENDLESS} WHERE a.range + b.range = number)"
    with bf.Engine(path, things(), workers=0, config=config) as engine:
        load(engine, 10)
        failed: list[BatchflowError] = []
        client = bf.connect(path)
        assert client.counts().fetchall()

        def pause() -> None:
            try:
                client.pause(endless)
            except BatchflowError as error:
                failed.append(error)

        worked = time.process_time()
        pausing = threading.Thread(target=pause)
        pausing.start()
        # Nothing else here takes so much time of the processor. An engine that closes before it
        # got the request leaves it to the client, which would pause the runs itself, without end.
        while time.process_time() - worked < 0.5:
            time.sleep(0.01)
        began = time.monotonic()
        engine.close()
        assert time.monotonic() - began < 8
        pausing.join()
    assert failed
    with bf.connect(path) as client:
        assert client.counts().select("run_state::VARCHAR").fetchall() == [("INITIATED",)]


@pytest.mark.parametrize("asked", ["rows", "columns"])
def test_work_while_a_query_is_bound_is_limited_too(path: Path, asked: str) -> None:
    config = bf.EngineConfig(query_timeout_seconds=0.8)
    with bf.Engine(path, things(), workers=0, config=config), bf.connect(path) as client:
        query = client.sql(f"EXPLAIN ANALYZE {ENDLESS}")
        with pytest.raises(QueryError, match=r"longer than 0\.8 seconds"):
            query.columns if asked == "columns" else query.fetchall()
        assert client.sql("SELECT 1").fetchall() == [(1,)]


def test_a_query_that_takes_too_much_memory_is_ended(path: Path) -> None:
    config = bf.EngineConfig(memory_limit="64MiB")
    wide = "SELECT (SELECT string_agg(repeat('x', 100), '') FROM range(20_000)), range FROM range"
    with bf.Engine(path, things(), workers=0, config=config), bf.connect(path) as client:
        with pytest.raises(QueryError, match=r"ended, as the engine took 134 MB more memory"):
            for _ in client.sql(f"{wide}(100_000)").to_arrow_reader():
                pass
        assert client.sql("SELECT 1").fetchall() == [(1,)]


def test_an_error_after_the_first_rows_is_that_of_the_query(path: Path) -> None:
    late = "SELECT CASE WHEN range < 900_000 THEN 1 ELSE error('late') END FROM range(1_000_000)"
    # Some rows arrive before it, unless another thread of DuckDB was quicker.
    with (
        bf.Engine(path, things(), workers=0),
        bf.connect(path) as client,
        pytest.raises(QueryError, match="failed while it was executed"),
    ):
        client.sql(late).to_arrow_reader().read_all()


def test_a_query_waits_for_a_place_no_longer_than_its_time(path: Path) -> None:
    config = bf.EngineConfig(query_timeout_seconds=0.5)
    with bf.Engine(path, things(), workers=0, config=config) as engine:
        errors: list[str] = []

        def ask() -> None:
            try:
                bf.connect(engine.path).sql(ENDLESS).fetchall()
            except QueryError as error:
                errors.append(str(error))

        asking = [threading.Thread(target=ask) for _ in range(6)]
        for each in asking:
            each.start()
        for each in asking:
            each.join()

    assert len(errors) == 6
    assert all("longer than 0.5 seconds" in error for error in errors)
