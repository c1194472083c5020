"""Ctrl-C ends a query within a second, wherever it is executed; showing rows executes it once."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

import duckdb
import pytest
from IPython.core.formatters import DisplayFormatter
from remote_kit import load, things

import batchflow as bf
from batchflow.store.database import connection
from batchflow.store.query.relation import Relation

Store: TypeAlias = "bf.Engine | bf.StoreClient"
ENDLESS = "SELECT count(*) AS n FROM range(10_000_000) a, range(10_000_000) b"
NUMBERS = "numbers.csv"
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
    duckdb.execute(f"COPY (FROM range(3_000_000) t(number)) TO '{path.with_name(NUMBERS)}'")
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


OPERATIONS: dict[str, Callable[[Store], Any]] = {
    "edit": lambda store: store.edit("true", set={"number": f"({ENDLESS})"}, reason="test"),
    "pause": lambda store: store.pause(f"number < ({ENDLESS})", reason="test"),
    "prune": lambda store: store.prune(timedelta(0), where=f"number < ({ENDLESS})"),
    "load": lambda store: store.trigger_many(
        f"SELECT n AS number FROM ({ENDLESS})", foreign_id="number"
    ),
    "load of files": lambda store: store.trigger_many(
        f"SELECT n AS number FROM ({ENDLESS}), read_text('/dev/null')", foreign_id="number"
    ),
    "load of a path": lambda store: store.trigger_many(
        Path(store.path).with_name(NUMBERS), foreign_id="number", on_conflict="skip"
    ),
}


def transitions(engine: bf.Engine) -> list[Any]:
    return engine.sql("SELECT count(*), max(version) FROM things.transitions").fetchall()


@pytest.mark.parametrize("way", ["engine", "socket"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_ctrl_c_ends_an_operation_which_then_changes_nothing(
    engine: bf.Engine, way: str, operation: str
) -> None:
    store: Store = engine if way == "engine" else bf.connect(engine.path)
    before = transitions(engine)

    assert interrupted_after(lambda: OPERATIONS[operation](store)) < 1.5
    # The write lock is free again.
    assert engine.edit("number = 3", set={"number": "3"}, reason="test").changed == 1
    [(count, _)] = before
    assert transitions(engine)[0][0] == count + 1


def test_an_operation_of_a_client_has_the_time_limit_of_queries(tmp_path: Path) -> None:
    config = bf.EngineConfig(query_timeout_seconds=1.0)
    with bf.Engine(tmp_path / "things.duckdb", things(), workers=0, config=config) as engine:
        load(engine, 2)
        before = transitions(engine)
        with pytest.raises(bf.QueryError, match=r"operation was ended, .* nothing was changed"):
            OPERATIONS["edit"](bf.connect(engine.path))
        assert transitions(engine) == before


def test_an_interruption_before_the_commit_rolls_the_operation_back(
    engine: bf.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = transitions(engine)
    connection = engine._store.connection

    def interrupt_now(place: str) -> None:
        # Between two statements, where DuckDB would forget it.
        if place == "within_control":
            connection.interrupt(list(connection._works))

    monkeypatch.setattr("batchflow.store.runs.control.crash_point.reached", interrupt_now)
    with pytest.raises(bf.QueryError):
        engine.edit("number = 3", set={"number": "4"}, reason="test")
    assert transitions(engine) == before


class Press:
    """A trace function that raises KeyboardInterrupt before one line of transactions' code."""

    def __init__(self, line: int) -> None:
        self._left = line
        self.pressed = False

    def __call__(self, frame: FrameType, event: str, _: Any) -> Press | None:
        if frame.f_code.co_filename != connection.__file__:
            return None
        if frame.f_code.co_name not in ("write", "trying", "_commit"):
            return None
        if event == "line":
            self._left -= 1
            if self._left == 0:
                self.pressed = True
                raise KeyboardInterrupt
        return self


@pytest.mark.parametrize("dry_run", [False, True])
def test_ctrl_c_at_any_line_of_a_transaction_leaves_none_behind(
    engine: bf.Engine, dry_run: bool
) -> None:
    run_id = engine.get("3").run_id
    for line in itertools.count(1):
        press = Press(line)
        sys.settrace(press)
        with contextlib.suppress(KeyboardInterrupt):
            engine.pause(run_ids=[run_id], dry_run=dry_run)
        sys.settrace(None)
        engine.resume(run_ids=[run_id], dry_run=dry_run)
        if not press.pressed:
            break
    assert line > 5
