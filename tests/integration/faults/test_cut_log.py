"""A log that was cut off after a commit is refused, and not taken for a shorter one."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from orders_kit import Order, load, orders

import batchflow as bf
from batchflow.store.database.new_file import log_of

ROWS = 50
COMMITS = 3


@dataclass
class Killed:
    """The files that an engine would leave if it were killed after each of its commits.

    Attributes:
        folders: The files after each commit; the last commit is after a checkpoint.
        sizes: The sizes of the log.
    """

    folders: list[Path]
    sizes: list[int]

    def copied(self, to: Path, moment: int, *, lock: int | None = None) -> Path:
        """Copy the files of a moment, with the lock file of the same or another one."""
        shutil.copytree(self.folders[moment], to, dirs_exist_ok=True)
        noted = self.folders[moment if lock is None else lock]
        shutil.copy(noted / "orders.duckdb.lock", to)
        return to / "orders.duckdb"


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    folder = tmp_path_factory.mktemp("killed")
    live = folder / "live"
    live.mkdir()
    path = live / "orders.duckdb"
    left = Killed([], [])
    with bf.Engine(path, orders(), workers=0, config=bf.EngineConfig(serve=False)) as engine:
        load(engine, ROWS)
        for number in range(COMMITS):
            engine.trigger(f"single-{number}", Order(1))
            left.sizes.append(log_of(path).stat().st_size)
            left.folders.append(shutil.copytree(live, folder / str(number)))
        # The next commit writes everything into the file, and begins another log.
        os.truncate(log_of(path), left.sizes[0])
        engine.trigger("last", Order(1))
        left.sizes.append(log_of(path).stat().st_size)
        left.folders.append(shutil.copytree(live, folder / "last"))
    return left


def runs(path: Path) -> int:
    with bf.Engine(path, orders(), workers=0, config=bf.EngineConfig(serve=False)) as engine:
        return len(engine.runs().fetchall())


def refused(path: Path) -> None:
    before = {each.name: each.read_bytes() for each in (path, log_of(path))}
    for open_it in (lambda: bf.Engine(path, orders(), workers=0), lambda: bf.connect(path)):
        with pytest.raises(bf.StoreError, match="another program cut it off") as caught:
            open_it()
        assert "\n" not in str(caught.value)
        assert {each.name: each.read_bytes() for each in (path, log_of(path))} == before


@pytest.mark.parametrize("left", [0, 1, None])
def test_a_log_that_was_cut_off_is_refused(
    killed: Killed, tmp_path: Path, left: int | None
) -> None:
    path = killed.copied(tmp_path, COMMITS - 1)
    os.truncate(log_of(path), 20 if left is None else killed.sizes[left])
    for _ in range(2):
        refused(path)


def test_it_opens_once_the_whole_log_is_back(killed: Killed, tmp_path: Path) -> None:
    path = killed.copied(tmp_path, COMMITS - 1)
    os.truncate(log_of(path), killed.sizes[0])
    refused(path)
    shutil.copy(log_of(killed.folders[COMMITS - 1] / path.name), log_of(path))
    assert runs(path) == ROWS + COMMITS
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_the_loss_can_be_accepted(killed: Killed, tmp_path: Path) -> None:
    path = killed.copied(tmp_path, COMMITS - 1)
    os.truncate(log_of(path), killed.sizes[0])
    refused(path)
    Path(f"{path}.lock").unlink()
    assert runs(path) == ROWS + 1


@pytest.mark.parametrize("noted", [0, COMMITS - 1, COMMITS])
def test_a_log_opens_with_the_note_of_an_earlier_commit(
    killed: Killed, tmp_path: Path, noted: int
) -> None:
    path = killed.copied(tmp_path, COMMITS, lock=noted)
    assert runs(path) == ROWS + COMMITS + 1


def test_the_note_of_a_later_checkpoint_is_not_that_of_an_older_copy(
    killed: Killed, tmp_path: Path
) -> None:
    path = killed.copied(tmp_path, 0, lock=COMMITS)
    assert runs(path) == ROWS + 1
