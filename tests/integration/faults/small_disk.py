"""A real disk that is small: a tmpfs of a few megabytes, mounted where only one child sees it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from own_process import in_own_process

_UNSHARE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")


class Ballast:
    """A file that fills the disk of a folder, except for some bytes."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ballast"

    def fill(self, left: int = 0) -> None:
        """Leave at most this many bytes, rounded up to pages."""
        disk = os.statvfs(self._path.parent)
        taken = disk.f_bavail * disk.f_frsize - left
        if taken > 0:
            descriptor = os.open(self._path, os.O_CREAT | os.O_WRONLY)
            end = os.fstat(descriptor).st_size
            os.posix_fallocate(descriptor, end, taken)
            os.close(descriptor)

    def drop(self) -> None:
        """Make room."""
        self._path.unlink(missing_ok=True)


def mounted(scenario: Callable[[Path], None], folder: Path, mount: str, *arguments: object) -> None:
    """Call `scenario` in a child after a mount that only it sees; skip where none is allowed.

    `mount` is a line of shell, in which ``$1`` is `folder` and ``$2`` the first of `arguments`.
    """
    probe = [*_UNSHARE, 'mount -t tmpfs tmpfs "$1"', "sh", str(folder)]
    try:
        allowed = subprocess.run(probe, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare(1) here, to mount a disk where only one child sees it")
    if allowed.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {allowed.stderr.strip()}")
    given = [str(folder), *map(str, arguments)]
    line = f'{mount} && shift {len(given)} && exec "$@"'
    in_own_process(scenario, folder, [*_UNSHARE, line, "sh", *given])


def on_small_disk(scenario: Callable[[Path], None], folder: Path, kibibytes: int = 65_536) -> None:
    """Call a function of a test module in a child, with a folder that is a small disk."""
    mounted(scenario, folder, 'mount -t tmpfs -o size="$2"k,mode=0700 tmpfs "$1"', kibibytes)
