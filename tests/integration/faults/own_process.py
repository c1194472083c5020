"""Functions of a test module, called in a process of their own that they may break."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kit.forked import Ended, call


def in_own_process(scenario: Callable[..., None], folder: Path, *more: Any) -> None:
    """Call `scenario` with a folder; what it asserts or raises fails the test."""
    child = _called(scenario, folder, *more)
    assert child.code == 0, child.output


def killed_in_own_process(scenario: Callable[[Path], None], folder: Path) -> None:
    """Call `scenario` with a folder; it is to end by SIGKILL, having asserted what it asserts."""
    child = _called(scenario, folder)
    assert child.code == -signal.SIGKILL, child.output


def _called(scenario: Callable[..., None], folder: Path, *more: Any) -> Ended:
    path = os.pathsep.join(each for each in sys.path if each)
    return call(scenario, folder, *more, environment={**os.environ, "PYTHONPATH": path})
