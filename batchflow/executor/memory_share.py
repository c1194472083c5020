"""How much memory a worker may take."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from batchflow.errors import InvalidOptionError

AUTO: Final = "auto"
# The rest is for DuckDB, the page cache and all other processes of the machine.
_SHARE_OF_WORKERS: Final = 0.8
_UNITS: Final = {"": 1, "K": 1, "M": 2, "G": 3, "T": 4}
_AMOUNT: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT])(i?)B\s*", re.IGNORECASE)
_CGROUP_LIMITS: Final = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)


def worker_memory_bytes(limit: object, workers: int) -> int:
    """Return the bytes that ``EngineConfig.worker_memory_limit`` allows a worker; 0: no limit.

    Raises:
        InvalidOptionError: The text isn't an amount of memory.
    """
    if limit is None:
        return 0
    if limit == AUTO:
        # Twice as many workers may exist for a while, as suspect runs have workers of their own.
        return int(machine_bytes() * _SHARE_OF_WORKERS / (2 * workers))
    amount = _AMOUNT.fullmatch(limit) if isinstance(limit, str) else None
    if amount is None:
        raise InvalidOptionError(
            f'worker_memory_limit is {limit!r}; give an amount like "2GB" or "512MB", "{AUTO}" '
            "for an equal share of the machine's memory, or None for no limit.",
            option="worker_memory_limit",
        )
    number, unit, binary = amount.groups()
    return int(float(number) * (1024 if binary else 1000) ** _UNITS[unit.upper()])


def machine_bytes() -> int:
    """Return the memory of this machine, or of this process's container if that has less."""
    known = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _CGROUP_LIMITS:
        try:
            text = Path(path).read_text("ascii").strip()
        except OSError:
            continue
        known += [int(text)] if text.isdigit() else []
    return min(known)
