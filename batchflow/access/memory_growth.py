"""How much memory the engine's process takes while it executes queries of other processes.

DuckDB counts its tables and buffers against its memory limit, but not all values of the rows that
it computes at a time.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from batchflow.store.database.instance import Cursor

_RESIDENT: Final = Path("/proc/self/statm")
_UNITS: Final = {"bytes": 0, "KiB": 1, "MiB": 2, "GiB": 3, "TiB": 4}


class MemoryGrowth:
    """The memory that the process took since a moment; only Linux shows it.

    Args:
        most_bytes: How much it may be.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._began = _resident_bytes()

    @classmethod
    def of_store(cls, cursor: Cursor, times: int) -> MemoryGrowth:
        """Return one that is limited to several times the memory limit of an instance of DuckDB."""
        [(limit,)] = cursor.execute("SELECT current_setting('memory_limit')").fetchall()
        number, unit = str(limit).split()
        return cls(int(times * float(number) * 1024 ** _UNITS[unit]))

    def begin(self) -> None:
        """Count from now on."""
        self._began = _resident_bytes()

    @property
    def is_too_large(self) -> bool:
        """Whether the process took more than it may."""
        return _resident_bytes() - self._began > self.most_bytes


def _resident_bytes() -> int:
    if sys.platform != "linux":
        return 0
    pages = int(_RESIDENT.read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
