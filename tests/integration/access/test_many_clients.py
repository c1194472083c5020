"""Many clients at once, in one process and beside engines that come and go."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from remote_kit import Thing, things

import batchflow as bf
from batchflow.errors import StoreHeldError
from kit.forked import begin

EDIT_ALL_THE_TIME = """
import sys
import batchflow as bf
client = bf.connect(sys.argv[1])
print("ready", flush=True)
while True:
    client.edit("number = 1", set={"doubled": "doubled + 1"})
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "things.duckdb"
    with bf.Engine(path, things(), workers=0) as engine:
        engine.trigger_many([Thing(number) for number in range(20)], foreign_id="number")
    return path


def test_clients_of_one_process_share_a_closed_file(path: Path) -> None:
    def edit(_: int) -> int:
        return bf.connect(path).edit("number = 3", set={"doubled": "doubled + 1"}).changed

    def count(_: int) -> int:
        return len(bf.connect(path).runs())

    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(call, each) for each in range(8) for call in (edit, count)]
        assert {each.result() for each in results} == {1, 20}
    assert bf.connect(path).runs("number = 3").select("doubled").fetchall() == [(8,)]


def test_a_change_waits_for_a_stream_and_says_so_if_that_does_not_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchflow.access.shared_file._PATIENCE_SECONDS", 0.2)
    client = bf.connect(path)
    stream = client.runs().to_arrow_reader(1)
    with pytest.raises(StoreHeldError, match="stream of rows"):
        client.pause("true")
    assert stream.read_all().num_rows == 20
    assert client.pause("true").changed == 20


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let engines and clients wait for each other for as long as a busy machine needs."""
    for module in ("access.reaching", "store.database.lock"):
        monkeypatch.setattr(f"batchflow.{module}._PATIENCE_SECONDS", 60.0)


@pytest.mark.usefixtures("patient")
def test_a_busy_client_of_a_closed_file_does_not_keep_an_engine_out(path: Path) -> None:
    with begin(EDIT_ALL_THE_TIME, path) as busy:
        assert busy.stdout.readline() == "ready\n"
        for _ in range(3):
            bf.Engine(path, things(), workers=0).close()


@pytest.mark.usefixtures("patient")
def test_reads_are_repeated_where_an_engine_ends_meanwhile(path: Path) -> None:
    done, lengths = threading.Event(), set()

    def read(client: bf.StoreClient) -> None:
        lengths.add(len(client.runs()))
        while not done.is_set():
            lengths.add(len(client.runs()))

    readers: list[Callable[[], None]] = [lambda: read(bf.connect(path)) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        results = [pool.submit(reader) for reader in readers]
        try:
            for _ in range(5):
                with bf.Engine(path, things(), workers=0) as engine:
                    engine.counts().fetchall()
        finally:
            done.set()
        for each in results:
            each.result()
    assert lengths == {20}
