"""What users need to test their steps: a run by itself, an inline engine, faults, crashes.

Names are imported when they are first used: a worker that executes a step with a fault needs
neither an engine nor DuckDB.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchflow.testing.crash import arm_crash as arm_crash
    from batchflow.testing.fake_clock import FakeClock as FakeClock
    from batchflow.testing.faults import Fault as Fault
    from batchflow.testing.faults import answers as answers
    from batchflow.testing.faults import eats_memory as eats_memory
    from batchflow.testing.faults import exits as exits
    from batchflow.testing.faults import hangs as hangs
    from batchflow.testing.faults import is_killed as is_killed
    from batchflow.testing.faults import leaves as leaves
    from batchflow.testing.faults import raises as raises
    from batchflow.testing.faults import segfaults as segfaults
    from batchflow.testing.faulty_step import with_fault as with_fault
    from batchflow.testing.inline import inline_engine as inline_engine
    from batchflow.testing.making import make_run as make_run

_HOME_OF = {
    "FakeClock": "fake_clock",
    "Fault": "faults",
    "answers": "faults",
    "arm_crash": "crash",
    "eats_memory": "faults",
    "exits": "faults",
    "hangs": "faults",
    "inline_engine": "inline",
    "is_killed": "faults",
    "leaves": "faults",
    "make_run": "making",
    "raises": "faults",
    "segfaults": "faults",
    "with_fault": "faulty_step",
}

__all__ = [
    "FakeClock",
    "Fault",
    "answers",
    "arm_crash",
    "eats_memory",
    "exits",
    "hangs",
    "inline_engine",
    "is_killed",
    "leaves",
    "make_run",
    "raises",
    "segfaults",
    "with_fault",
]


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'batchflow.testing' has no attribute {name!r}")
    value = getattr(import_module(f"batchflow.testing.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
