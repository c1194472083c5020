"""How long an import takes in a process that has imported nothing else."""

from __future__ import annotations

import subprocess
import sys

from sample import Sample


def importing(statement: str) -> Sample:
    """Time one import statement in a fresh interpreter; its own start is off the clock."""
    program = (
        f"import time; began = time.perf_counter()\n{statement}\nprint(time.perf_counter() - began)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return Sample(float(answer.stdout), {})
