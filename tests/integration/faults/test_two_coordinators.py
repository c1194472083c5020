"""A second coordinator is refused by any path to the store; a dead one does not block it."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from orders_kit import Order, load, orders, outcome, undisturbed
from small_disk import mounted

import batchflow as bf
from kit.forked import start

ROWS = 1_000


class Holder:
    """Another process with the store open, and with runs in its log."""

    def __init__(self, store: Path) -> None:
        self._orders, theirs = Pipe()
        self.process = start(hold, store, theirs)
        assert self._orders.recv() == "open"
        assert self.process.pid is not None
        self.pid = self.process.pid

    def close(self) -> None:
        self._orders.send("close")
        self.process.join()
        assert self.process.exitcode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


def hold(store: Path, orders_of_test: Connection) -> None:
    with bf.Engine(store, orders(), workers=0) as engine:
        load(engine, ROWS)
        orders_of_test.send("open")
        orders_of_test.recv()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder / "orders.duckdb"


@pytest.fixture
def holder(store: Path) -> Iterator[Holder]:
    holder = Holder(store)
    yield holder
    holder.kill()


def refused(path: Path, holder: int) -> None:
    with pytest.raises(bf.StoreHeldError) as caught:
        bf.Engine(path, orders(), workers=0)
    assert caught.value.holder["pid"] == holder
    assert caught.value.holder["host"] == socket.gethostname()
    named = "this process" if holder == os.getpid() else f"process {holder} on "
    assert named in str(caught.value)


def goes_on(path: Path) -> None:
    with bf.Engine(path, orders(), workers=0) as engine:
        engine.run()
        assert outcome(engine) == undisturbed(ROWS)


def by_symbolic_link(store: Path) -> Path:
    link = store.parent.parent / "link.duckdb"
    link.symlink_to(store)
    return link


def by_a_link_to_its_folder(store: Path) -> Path:
    link = store.parent.parent / "link"
    link.symlink_to(store.parent, target_is_directory=True)
    return link / store.name


def by_hard_link(store: Path) -> Path:
    link = store.with_name("hard.duckdb")
    link.hardlink_to(store)
    return link


def by_relative_path(store: Path) -> Path:
    return Path(os.path.relpath(store))


def after_its_lock_file_was_deleted(store: Path) -> Path:
    Path(f"{store}.lock").unlink()
    return store


def after_its_lock_file_was_replaced(store: Path) -> Path:
    lock = Path(f"{store}.lock")
    lock.unlink(missing_ok=True)
    lock.write_text('{"pid": 1, "host": "elsewhere"}')
    return store


# One after the other; the last two do away with the lock file.
WAYS = [
    by_symbolic_link,
    by_a_link_to_its_folder,
    by_relative_path,
    after_its_lock_file_was_deleted,
    after_its_lock_file_was_replaced,
]


def test_the_second_is_refused_with_the_pid_of_the_first(store: Path, holder: Holder) -> None:
    for way in WAYS:
        path = way(store)
        refused(path, holder.pid)
        with bf.connect(path) as client:
            assert client.served, way
    holder.close()
    goes_on(store)


def test_the_second_is_refused_by_a_hard_link(store: Path, holder: Holder) -> None:
    path = by_hard_link(store)
    refused(path, holder.pid)
    # The socket is beside the other name.
    with pytest.raises(bf.StoreHeldError, match=f"process {holder.pid} "):
        bf.connect(path)
    holder.close()
    goes_on(store)


@pytest.mark.parametrize("way", [by_symbolic_link, after_its_lock_file_was_replaced])
def test_an_owner_that_was_killed_does_not_block(
    way: Callable[[Path], Path], store: Path, holder: Holder
) -> None:
    path = way(store)
    holder.kill()
    goes_on(path)


def test_after_a_kill_a_hard_link_without_the_log_is_refused(store: Path, holder: Holder) -> None:
    link = by_hard_link(store)
    holder.kill()
    with pytest.raises(bf.StoreError, match=r"other name .*orders\.duckdb.*open it by that name"):
        bf.Engine(link, orders(), workers=0)
    goes_on(store)
    goes_on(link)


def the_other_name_of_the_folder_is_refused(folder: Path) -> None:
    with bf.Engine(folder / "orders.duckdb", orders(), workers=0) as engine:
        load(engine, 10)
        child = os.fork()
        if child == 0:
            # The second process knows of the first only what is on the disk.
            os.execv(sys.executable, [sys.executable, "-c", SECOND, str(folder / "bound")])
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        refused(folder / "bound" / "orders.duckdb", os.getpid())


SECOND = """
import os, sys
import batchflow as bf
from orders_kit import orders

try:
    bf.Engine(sys.argv[1] + "/orders.duckdb", orders(), workers=0)
except bf.StoreHeldError as error:
    sys.exit(error.holder["pid"] != os.getppid())
sys.exit(2)
"""


def test_the_second_is_refused_through_another_mount_of_the_folder(tmp_path: Path) -> None:
    mount = 'mkdir "$1/bound" && mount --bind "$1" "$1/bound"'
    mounted(the_other_name_of_the_folder_is_refused, tmp_path, mount)


@pytest.mark.parametrize("way", [by_symbolic_link, by_hard_link, by_relative_path])
def test_a_second_engine_in_another_thread_is_refused(
    way: Callable[[Path], Path], store: Path
) -> None:
    with bf.Engine(store, orders(), workers=0) as engine:
        path, errors = way(store), []

        def open_it() -> None:
            try:
                bf.Engine(path, orders(), workers=0)
            except bf.StoreHeldError as error:
                errors.append(error)

        thread = threading.Thread(target=open_it)
        thread.start()
        thread.join()
        assert errors[0].holder["pid"] == os.getpid()
        assert "bf.engines() returns it" in str(errors[0])
        engine.trigger("one", Order(1))
        engine.run()
    with bf.Engine(store, orders(), workers=0) as again:
        assert again.counts().select("status, runs").fetchall() == [("SENT", 1)]
