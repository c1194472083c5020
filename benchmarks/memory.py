"""Measure the peak resident memory of a process, and of its children while they run.

`ru_maxrss` is no use: Linux keeps it across `exec`, so the child of a large parent seems as large.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from pathlib import Path
from types import TracebackType

PROC = Path("/proc")
KIBIBYTES_PER_MB = 1000 * 1000 / 1024
SAMPLE_SECONDS = 0.1


def peak_mb_of(pid: int | str) -> float:
    """Return the peak resident memory of a process in MB, or 0.0 if it is unknown."""
    try:
        status = (PROC / str(pid) / "status").read_text()
    except OSError:
        return 0.0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / KIBIBYTES_PER_MB
    return 0.0


class WorkerMemory:
    """Watch all descendants of a process and keep the largest peak.

    A peak only rises, so sampling misses only the growth of a worker between its last sample and
    its end.
    """

    def __init__(self, pid: int) -> None:
        self.peak_mb = 0.0
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> WorkerMemory:
        self._thread.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            peaks = (peak_mb_of(pid) for pid in _descendants(self._pid))
            self.peak_mb = max(self.peak_mb, *peaks, 0.0)


def _descendants(pid: int) -> list[int]:
    children = defaultdict(list)
    for entry in PROC.glob("[0-9]*/stat"):
        try:
            # The process's name precedes it in parentheses, and may contain anything.
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children[parent].append(int(entry.parent.name))
    found: list[int] = []
    parents = [pid]
    while parents:
        new = children[parents.pop()]
        found += new
        parents += new
    return found
