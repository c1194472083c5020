"""Tools to test your steps and your executors.

Steps:
    `make_run` makes a run by itself, to call a row step with, and `make_batch` a batch. `call_step`
    calls a workflow's step with one, and checks the answer and the values. `inline_engine` opens an
    engine without processes, whose `FakeClock` jumps over waits.

Faults:
    `with_fault` puts a fault into a step, for the runs of your choice: `raises`, `hangs`, `exits`,
    `is_killed`, `segfaults`, `eats_memory`, `answers`, `leaves`, `sabotages`, which breaks the
    worker's process in one of the ways of `Sabotage`, or a `Fault` of your own.

Crashes:
    `arm_crash` kills the process when its engine comes to one of ``crash_point.CRASH_POINTS``.

Executors:
    `executor_contract` returns the checks of what `Engine` requires of an executor.

Names are imported when they are first used, because a worker that executes a step with a fault
needs neither an engine nor DuckDB.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchflow.testing.calling import call_step as call_step
    from batchflow.testing.contract.case import ExecutorContractError as ExecutorContractError
    from batchflow.testing.contract.case import WorkerChanges as WorkerChanges
    from batchflow.testing.contract.executor_contract import ContractCheck as ContractCheck
    from batchflow.testing.contract.executor_contract import ContractReport as ContractReport
    from batchflow.testing.contract.executor_contract import ExecutorContract as ExecutorContract
    from batchflow.testing.contract.executor_contract import executor_contract as executor_contract
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
    from batchflow.testing.making import RunFacts as RunFacts
    from batchflow.testing.making import make_batch as make_batch
    from batchflow.testing.making import make_run as make_run
    from batchflow.testing.sabotage import Sabotage as Sabotage
    from batchflow.testing.sabotage import sabotages as sabotages

_HOME_OF = {
    "ContractCheck": "contract.executor_contract",
    "ContractReport": "contract.executor_contract",
    "ExecutorContract": "contract.executor_contract",
    "ExecutorContractError": "contract.case",
    "FakeClock": "fake_clock",
    "Fault": "faults",
    "RunFacts": "making",
    "Sabotage": "sabotage",
    "WorkerChanges": "contract.case",
    "answers": "faults",
    "arm_crash": "crash",
    "call_step": "calling",
    "eats_memory": "faults",
    "executor_contract": "contract.executor_contract",
    "exits": "faults",
    "hangs": "faults",
    "inline_engine": "inline",
    "is_killed": "faults",
    "leaves": "faults",
    "make_batch": "making",
    "make_run": "making",
    "raises": "faults",
    "sabotages": "sabotage",
    "segfaults": "faults",
    "with_fault": "faulty_step",
}

__all__ = [
    "ContractCheck",
    "ContractReport",
    "ExecutorContract",
    "ExecutorContractError",
    "FakeClock",
    "Fault",
    "RunFacts",
    "WorkerChanges",
    "answers",
    "arm_crash",
    "call_step",
    "eats_memory",
    "executor_contract",
    "exits",
    "hangs",
    "inline_engine",
    "is_killed",
    "leaves",
    "make_batch",
    "make_run",
    "raises",
    "sabotages",
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
