"""A real disk that is small: a tmpfs of a few megabytes, mounted where only one child sees it."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from own_process import in_own_process

_CLONE_NEWNS, _CLONE_NEWUSER = 0x0002_0000, 0x1000_0000
_PRIVATE = 0x0004_4000  # MS_REC and MS_PRIVATE


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
    probe = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    try:
        allowed = subprocess.run(probe, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare(1) here, to find out whether a child may mount a disk")
    if allowed.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {allowed.stderr.strip()}")
    in_own_process(_after_mount, folder, scenario, mount, [*map(str, arguments)])


def _after_mount(
    folder: Path, scenario: Callable[[Path], None], mount: str, arguments: list[str]
) -> None:
    _see_own_mounts()
    subprocess.run(["sh", "-c", mount, "sh", str(folder), *arguments], check=True)
    scenario(folder)


def _see_own_mounts() -> None:
    """Do for this process what unshare(1) does before it starts another one."""
    user, group, c = os.getuid(), os.getgid(), ctypes.CDLL(None, use_errno=True)
    if c.unshare(_CLONE_NEWUSER | _CLONE_NEWNS) or c.mount(b"none", b"/", None, _PRIVATE, None):
        raise OSError(ctypes.get_errno(), "This process can't have mounts of its own.")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")


def on_small_disk(scenario: Callable[[Path], None], folder: Path, kibibytes: int = 65_536) -> None:
    """Call a function of a test module in a child, with a folder that is a small disk."""
    mounted(scenario, folder, 'mount -t tmpfs -o size="$2"k,mode=0700 tmpfs "$1"', kibibytes)
