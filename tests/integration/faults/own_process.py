"""Functions of a test module, called in a process of their own that they may break."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path


def in_own_process(
    scenario: Callable[[Path], None], folder: Path, under: Sequence[str] = ()
) -> None:
    """Call `scenario` with a folder; what it asserts or raises fails the test.

    `under` are a command and its arguments that execute the rest of the command line.
    """
    child = _called(scenario, folder, under)
    assert child.returncode == 0, f"{child.stdout}\n{child.stderr}"


def killed_in_own_process(scenario: Callable[[Path], None], folder: Path) -> None:
    """Call `scenario` with a folder; it is to end by SIGKILL, having asserted what it asserts."""
    child = _called(scenario, folder, ())
    assert child.returncode == -signal.SIGKILL, f"{child.stdout}\n{child.stderr}"


def _called(
    scenario: Callable[[Path], None], folder: Path, under: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *under, sys.executable, "-W", "error", __file__,
            scenario.__code__.co_filename, scenario.__name__, str(folder),
        ],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )  # fmt: skip


def _call(file: str, name: str, folder: str) -> None:
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    getattr(module, name)(Path(folder))


if __name__ == "__main__":
    _call(*sys.argv[1:])
