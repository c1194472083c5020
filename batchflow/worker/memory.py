"""The limit on a worker's memory: a step that allocates without end fails by itself."""

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
    """Limit the memory that this process takes beyond what it has; only Linux enforces it.

    The limit is on private writable memory (``RLIMIT_DATA``). Reserved address space, mapped files
    and the code of libraries don't count.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes

    def apply(self) -> None:
        """Set the limit for allocations from now on."""
        if not self._limit_bytes or sys.platform != "linux":
            return
        # Arrow's first allocation reserves a gigabyte of addresses, which the step doesn't use.
        pa.allocate_buffer(1)
        most = _data_bytes() + self._limit_bytes
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))

    def end_if_exhausted(self, error: BaseException) -> None:
        """End the process after a MemoryError that left less than half of its memory free.

        A call that wanted too much releases it all with its frames. Otherwise, objects that
        earlier runs left behind hold the memory, and all later runs would fail.
        """
        # A class of the user's may pretend to be another, so `isinstance` isn't enough.
        if not self._limit_bytes or not issubclass(type(error), MemoryError):
            return
        self._name_limit(error)
        traceback.clear_frames(error.__traceback__)
        try:
            mmap.mmap(-1, self._limit_bytes // 2, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
        except OSError:
            os._exit(OUT_OF_MEMORY)

    def _name_limit(self, error: BaseException) -> None:
        limit = f"worker_memory_limit allows a worker {self._limit_bytes / 1e6:,.0f} MB"
        if error.args:
            error.add_note(limit)
        else:
            error.args = (f"the step needs more memory: {limit}",)


def _data_bytes() -> int:
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmData:"))
    return int(line.split()[1]) * 1024
