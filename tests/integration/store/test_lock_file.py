"""What is in the place of the lock file and isn't one stays unchanged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from store_kit import NOW

from batchflow.errors import StoreError, StoreHeldError
from batchflow.store.database.lock import StoreLock

PRECIOUS = b"precious"


def refused(path: Path, match: str) -> None:
    with pytest.raises(StoreError, match=f"can't be the store's lock file: {match}") as caught:
        StoreLock.acquire(path, NOW)
    assert f"{path}.lock" in str(caught.value)


def lock_of(path: Path) -> Path:
    return Path(f"{path}.lock")


def test_a_symlink_is_not_followed(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(PRECIOUS)
    lock_of(path).symlink_to(victim)
    refused(path, "it is a symlink")
    assert victim.read_bytes() == PRECIOUS


def test_a_symlink_that_leads_nowhere_creates_nothing(path: Path, tmp_path: Path) -> None:
    lock_of(path).symlink_to(tmp_path / "victim")
    refused(path, "it is a symlink")
    assert not (tmp_path / "victim").exists()


def test_a_hard_link_is_not_written_to(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.touch()
    lock_of(path).hardlink_to(victim)
    refused(path, "it is a hard link")


@pytest.mark.parametrize("content", [PRECIOUS, b'{"name": "package"}', b"{" + bytes(70_000)])
def test_a_file_of_another_program_is_not_written_to(path: Path, content: bytes) -> None:
    lock_of(path).write_bytes(content)
    refused(path, "its content is of another program")
    assert lock_of(path).read_bytes() == content


def test_a_pipe_is_refused_at_once(path: Path) -> None:
    os.mkfifo(lock_of(path))
    refused(path, "it is not a regular file")


def test_the_lock_of_another_process_is_not_removed(path: Path) -> None:
    first = StoreLock.acquire(path, NOW)
    lock_of(path).unlink()
    second = StoreLock.acquire(path, NOW)
    first.release()
    with pytest.raises(StoreHeldError):
        StoreLock.acquire(path, NOW)
    second.release()


def test_it_has_the_permissions_of_the_umask(path: Path) -> None:
    before = os.umask(0o002)
    try:
        lock = StoreLock.acquire(path, NOW)
    finally:
        os.umask(before)
    assert lock_of(path).stat().st_mode & 0o777 == 0o664
    lock.release()
