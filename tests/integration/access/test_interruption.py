"""Ctrl-C ends a query within a second, wherever it is executed; showing rows executes it once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from IPython.core.formatters import DisplayFormatter
from remote_kit import load, things

import batchflow as bf
from batchflow.store.query.relation import Relation

Store: TypeAlias = "bf.Engine | bf.StoreClient"
ENDLESS = "SELECT count(*) AS n FROM range(10_000_000) a, range(10_000_000) b"
READS: dict[str, Callable[[Relation], Any]] = {
    "tuples": lambda rows: rows.fetchall(),
    "pandas": lambda rows: rows.df(),
    "polars": lambda rows: rows.pl(),
    "arrow": lambda rows: rows.arrow(),
    "stream": lambda rows: rows.to_arrow_reader().read_all(),
    "shown": lambda rows: rows.show(),
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bf.Engine]:
    path: Path = tmp_path_factory.mktemp("interrupted") / "things.duckdb"
    with bf.Engine(path, things(), workers=0) as opened:
        load(opened, 10)
        yield opened


def interrupted_after(call: Callable[[], object]) -> float:
    """Return how many seconds after Ctrl-C a call ended."""
    pressed: list[float] = []

    def press() -> None:
        pressed.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.2, press)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        call()
    return time.monotonic() - pressed[0]


@pytest.mark.parametrize("way", ["engine", "socket"])
@pytest.mark.parametrize("read", READS)
def test_ctrl_c_ends_a_query(engine: bf.Engine, way: str, read: str) -> None:
    store: Store = engine if way == "engine" else bf.connect(engine.path)

    assert interrupted_after(lambda: READS[read](store.sql(ENDLESS))) < 1.5


@pytest.mark.parametrize("way", ["engine", "socket"])
def test_ctrl_c_ends_a_query_that_is_bound(engine: bf.Engine, way: str) -> None:
    store: Store = engine if way == "engine" else bf.connect(engine.path)
    relation = store.sql(f"EXPLAIN ANALYZE {ENDLESS}")

    assert interrupted_after(relation.fetchall) < 1.5
    assert interrupted_after(lambda: relation.columns) < 1.5


def test_an_interrupted_query_of_a_client_leaves_its_place(engine: bf.Engine) -> None:
    client = bf.connect(engine.path)
    for _ in range(5):
        interrupted_after(client.sql(ENDLESS).fetchall)

    began = time.monotonic()
    assert client.sql("SELECT 1").fetchall() == [(1,)]
    assert time.monotonic() - began < 2


def test_a_notebook_shows_rows_of_one_execution(engine: bf.Engine) -> None:
    relation = engine.sql("SELECT random()::VARCHAR AS drawn")

    shown, _ = DisplayFormatter().format(relation)

    drawn = shown["text/plain"].splitlines()[1]
    assert drawn in shown["text/html"]
