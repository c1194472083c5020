"""The limit on a worker's memory: a step that allocates without end fails, and not the machine."""

from __future__ import annotations

import mmap
import os
import resource
import sys
import traceback

import pyarrow as pa

# The exit code of a worker that has no memory left for the runs after this one.
OUT_OF_MEMORY = 77


class MemoryLimit:
    """What this process may take beyond what it has; nothing but Linux keeps to it.

    The limit is on private memory that can be written to (``RLIMIT_DATA``): address space that is
    merely reserved, files that are mapped and libraries' code don't count.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes

    def apply(self) -> None:
        """Set the limit, for what is allocated from now on."""
        if not self._limit_bytes or sys.platform != "linux":
            return
        # Arrow sets a gigabyte of addresses aside at its first allocation, which isn't the step's.
        pa.allocate_buffer(1)
        most = _data_bytes() + self._limit_bytes
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))

    def end_if_exhausted(self, error: BaseException) -> None:
        """End the process where less than half of its memory is to be had again.

        A single call that wanted too much gives all back with its frames; where that isn't so,
        memory is held by what former runs left behind, and all that follow would fail for it.
        """
        if not self._limit_bytes:
            return
        traceback.clear_frames(error.__traceback__)
        try:
            mmap.mmap(-1, self._limit_bytes // 2, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
        except OSError:
            os._exit(OUT_OF_MEMORY)


def _data_bytes() -> int:
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmData:"))
    return int(line.split()[1]) * 1024
