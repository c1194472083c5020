"""The kits whose steps workers execute import neither DuckDB nor pytest, for each worker anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
KITS = {
    "kit": ("kit.calls", "kit.colours", "kit.slices", "kit.things"),
    "crash": ("crash_workflow",),
    "integration/access": ("remote_kit",),
    "integration/engine": ("faulty_kit", "secrets_kit"),
    "integration/executor": ("logging_steps",),
    "integration/faults": ("orders_kit", "sabotage_kit"),
}


def test_the_kits_of_workers_are_light() -> None:
    modules = ", ".join(module for modules in KITS.values() for module in modules)
    heavy = "{'duckdb', 'pytest', 'batchflow.engine'}"
    code = f"import sys, {modules}; print(*({heavy} & set(sys.modules)))"
    path = os.pathsep.join([os.environ["PYTHONPATH"], str(TESTS), *(str(TESTS / d) for d in KITS)])
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (found.stdout, found.stderr) == ("\n", "")
