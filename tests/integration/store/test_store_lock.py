from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from store_kit import NOW, parcels

from batchflow.errors import ForkedStoreError, StoreClosedError, StoreError, StoreHeldError
from batchflow.store import Relation, Store

HOLDER = """
    import datetime, enum, sys, time
    from dataclasses import dataclass
    from batchflow.definition.workflow import Workflow
    from batchflow.store import Relation, Store

    @dataclass
    class Thing:
        size: int

    Status = enum.Enum("Status", "NEW DONE")
    things = Workflow("things", Thing, Status)
    things.sql_step(Status.NEW, to=[Status.DONE])
    store = Store.open(sys.argv[1], [things], clock=lambda: datetime.datetime.now(datetime.UTC))
    print("open", flush=True)
    sys.stdin.read()
"""


def open_store(path: Path) -> Store:
    return Store.open(path, [parcels()], clock=lambda: NOW)


def held_elsewhere(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def test_the_error_for_a_held_store_names_the_other_process(path: Path) -> None:
    with held_elsewhere(path) as process:
        with pytest.raises(StoreHeldError) as caught:
            open_store(path)
        process.communicate()
    assert caught.value.holder["pid"] == process.pid
    assert caught.value.holder["host"] == socket.gethostname()
    assert caught.value.path == str(path)
    for fact in (str(process.pid), socket.gethostname(), "since 20", "command: python", "end it"):
        assert fact in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_killed_holder_does_not_block(path: Path) -> None:
    with held_elsewhere(path) as process:
        process.send_signal(signal.SIGKILL)
    open_store(path).close()


def test_a_store_opened_twice_in_one_process_is_held(path: Path) -> None:
    first = open_store(path)
    with pytest.raises(StoreHeldError, match=r"of this process: bf.engines\(\)"):
        open_store(path)
    first.close()


def test_a_symlink_leads_to_the_same_lock(path: Path, tmp_path: Path) -> None:
    first = open_store(path)
    link = tmp_path / "elsewhere.duckdb"
    link.symlink_to(path)
    with pytest.raises(StoreHeldError):
        open_store(link)
    first.close()
    second = open_store(link)
    assert second.path == str(path)
    second.close()


def test_closing_removes_the_lock_file(path: Path) -> None:
    store = open_store(path)
    lock = Path(f"{path}.lock")
    assert json.loads(lock.read_text())["pid"] == os.getpid()
    store.close()
    store.close()
    assert not lock.exists()


def test_a_lock_file_left_behind_does_not_block(path: Path) -> None:
    Path(f"{path}.lock").write_text("{half")
    open_store(path).close()


def test_a_refused_open_releases_the_lock(path: Path) -> None:
    path.write_bytes(b"no store")
    for _ in range(2):
        with pytest.raises(StoreError, match="is not a batchflow store"):
            open_store(path)
    assert not Path(f"{path}.lock").exists()


def test_a_file_open_in_duckdb_elsewhere_in_the_process_is_held_and_keeps_its_lock(
    path: Path,
) -> None:
    open_store(path).close()
    mine = duckdb.connect(str(path))
    with pytest.raises(StoreHeldError):
        open_store(path)
    probe = "import duckdb, sys; duckdb.connect(sys.argv[1])"
    second = subprocess.run(
        [sys.executable, "-c", probe, str(path)], capture_output=True, text=True, check=False
    )
    assert "lock" in second.stderr
    mine.close()


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="folder that exists"):
        open_store(tmp_path / "nowhere" / "parcels.duckdb")


def test_a_store_in_memory_takes_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stores = [Store.open(":memory:", [parcels()], clock=lambda: NOW) for _ in range(2)]
    assert list(tmp_path.iterdir()) == []
    for store in stores:
        store.close()


def test_a_closed_store_refuses_to_work(path: Path) -> None:
    store = open_store(path)
    store.close()
    with pytest.raises(StoreClosedError):
        Relation(store.source, "SELECT 1").fetchall()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_can_neither_use_nor_harm_the_store(path: Path) -> None:
    store = open_store(path)
    child = os.fork()
    if child == 0:
        try:
            Relation(store.source, "SELECT 1").fetchall()
        except ForkedStoreError:
            store.close()
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert Relation(store.source, "SELECT 42").fetchall() == [(42,)]
    with pytest.raises(StoreHeldError):
        open_store(path)
    store.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_that_lives_on_does_not_hold_the_store(path: Path) -> None:
    store = open_store(path)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    store.close()
    open_store(path).close()
    os.close(writing)
    os.close(reading)
    os.waitpid(child, 0)


@contextmanager
def held_by_turns(path: Path, turns: Sequence[tuple[bytes, float]]) -> Iterator[None]:
    """Hold the lock of a store, with each content of its file for so many seconds."""
    lock = path.with_name(path.name + ".lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    begun = threading.Event()

    def take_turns() -> None:
        for content, seconds in turns:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, content, 0)
            begun.set()
            time.sleep(seconds)
        lock.unlink()
        os.close(descriptor)

    thread = threading.Thread(target=take_turns)
    thread.start()
    begun.wait()
    yield
    thread.join()


@pytest.mark.parametrize(
    "content", [b"", json.dumps({"pid": 2**22 + 1, "host": socket.gethostname()}).encode()]
)
def test_a_holder_that_has_not_written_its_name_yet_is_waited_for(
    path: Path, content: bytes
) -> None:
    with held_by_turns(path, [(content, 0.2)]):
        open_store(path).close()


def test_the_last_of_several_holders_that_has_not_written_its_name_is_waited_for(
    path: Path,
) -> None:
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "for_one_call": True}
    # Longer than a holder without a name is waited for, which comes after it.
    with held_by_turns(path, [(json.dumps(holder).encode(), 1.1), (b"", 0.1)]):
        open_store(path).close()
