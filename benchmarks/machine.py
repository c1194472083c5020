"""The facts of the machine and the libraries that a figure depends on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("duckdb", "pyarrow", "numpy", "cloudpickle")
GIGABYTE = 1_000_000_000


def facts(folder: Path) -> dict[str, str]:
    """Return the facts; `folder` is where the stores are."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / GIGABYTE:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "filesystem": _filesystem(folder),
        "python": platform.python_version(),
        **{library: version(library) for library in LIBRARIES},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _filesystem(folder: Path) -> str:
    """Return the type of the filesystem that the folder is on."""
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    kinds = {Path(mount[1]): mount[2] for mount in mounts}
    above = (folder, *folder.parents)
    return next((kinds[path] for path in above if path in kinds), "unknown")
