"""A client's load of files takes as long as it takes, and ends with its client and its engine."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import duckdb
import pytest
from remote_kit import Thing, things

import batchflow as bf
from batchflow.errors import BatchflowError
from kit.forked import begin

ROWS = 3_000_000
LOAD = """
import sys
import batchflow as bf
bf.connect(sys.argv[1]).trigger_many(sys.argv[2], foreign_id="number")
"""


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    return csv(tmp_path, ROWS)


def csv(folder: Path, rows: int) -> Path:
    path = folder / "numbers.csv"
    duckdb.execute(f"COPY (FROM range({rows}) t(number)) TO '{path}'")
    return path


def begins() -> bool:
    """Wait until this process reads the files of a load."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if any(each.name.startswith("batchflow-source") for each in threading.enumerate()):
            return True
        time.sleep(0.01)
    return False


def test_it_has_no_time_limit(path: Path, tmp_path: Path) -> None:
    numbers, seconds = csv(tmp_path, 1_000_000), 0.5
    with bf.Engine(
        path, things(), workers=0, config=bf.EngineConfig(query_timeout_seconds=seconds)
    ):
        client = bf.connect(path)
        began = time.monotonic()
        report = client.trigger_many(numbers, foreign_id="number")
        assert time.monotonic() - began > seconds

    assert report.loaded == 1_000_000


def test_it_ends_when_its_client_is_gone(path: Path, numbers: Path) -> None:
    with bf.Engine(path, things(), workers=0) as engine:
        with begin(LOAD, path, numbers):
            assert begins()
        began = time.monotonic()
        # It waits for the write lock.
        engine.trigger("-1", Thing(-1))
        assert time.monotonic() - began < 8
        assert engine.runs().select("number").fetchall() == [(-1,)]


def test_it_does_not_keep_the_engine_open(path: Path, numbers: Path) -> None:
    failed: list[BatchflowError] = []

    def load() -> None:
        try:
            bf.connect(path).trigger_many(numbers, foreign_id="number")
        except BatchflowError as error:
            failed.append(error)

    with bf.Engine(path, things(), workers=0, config=bf.EngineConfig(grace_seconds=0)) as engine:
        loading = threading.Thread(target=load)
        loading.start()
        assert begins()
        began = time.monotonic()
        engine.close()
        assert time.monotonic() - began < 8
        loading.join()
    assert failed
    with bf.connect(path) as client:
        assert client.runs().fetchall() == []
