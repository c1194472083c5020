"""The peak of resident memory, of a process and of its children while they live.

`ru_maxrss` won't do: Linux carries it over `exec`, so that the child of a large parent seems as
large.
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
    """Read the peak resident memory of a process in MB; 0.0 where it can't be known."""
    try:
        status = (PROC / str(pid) / "status").read_text()
    except OSError:
        return 0.0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / KIBIBYTES_PER_MB
    return 0.0


class WorkerMemory:
    """Watches all descendants of a process and keeps the largest peak.

    A peak only rises, so that looking from time to time misses no more than what a worker grows by
    between the last look and its end.
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
            # The name before it, in parentheses, may itself hold anything.
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children[parent].append(int(entry.parent.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        born = children[waiting.pop()]
        found += born
        waiting += born
    return found
