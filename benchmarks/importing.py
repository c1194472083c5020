"""Measure an import in a process that has imported nothing else."""

from __future__ import annotations

import subprocess
import sys

from sample import Sample


def importing(statement: str) -> Sample:
    """Return the time of an import statement in a fresh interpreter, after its own start."""
    program = (
        f"import time; began = time.perf_counter()\n{statement}\nprint(time.perf_counter() - began)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return Sample(float(finished.stdout), {})
