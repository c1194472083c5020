"""All checks of the contract, for one executor."""

from __future__ import annotations

import contextlib
import inspect
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batchflow.errors import InvalidOptionError
from batchflow.executor import Capability
from batchflow.testing.contract import common_checks, optional_checks, process_checks
from batchflow.testing.contract.case import ExecutorCase, WorkerChanges

if TYPE_CHECKING:
    from batchflow.executor import ExecutorFactory

Behaviour = Callable[[ExecutorCase], None]

_PROCESSES = Capability.SEPARATE_PROCESSES
_NEEDS: Final[Mapping[Behaviour, frozenset[Capability]]] = {
    common_checks.check_results: frozenset(),
    common_checks.check_order: frozenset(),
    common_checks.check_slots: frozenset(),
    common_checks.check_large_chunks: frozenset(),
    common_checks.check_suspects: frozenset(),
    common_checks.check_time_to_wait: frozenset(),
    common_checks.check_wake: frozenset(),
    common_checks.check_stop: frozenset(),
    common_checks.check_abandon: frozenset(),
    common_checks.check_resources: frozenset(),
    common_checks.check_failing_resource: frozenset(),
    common_checks.check_interrupt_elsewhere: frozenset(),
    common_checks.check_close_twice: frozenset(),
    process_checks.check_dying_worker: frozenset({_PROCESSES}),
    process_checks.check_isolation: frozenset({_PROCESSES}),
    process_checks.check_dying_suspect: frozenset({_PROCESSES}),
    process_checks.check_abandon_running: frozenset({_PROCESSES}),
    process_checks.check_close_running: frozenset({_PROCESSES}),
    process_checks.check_unloadable_code: frozenset({_PROCESSES}),
    process_checks.check_unsendable_code: frozenset({_PROCESSES}),
    process_checks.check_named_row: frozenset({_PROCESSES, Capability.NAMES_CALLS}),
    process_checks.check_named_part: frozenset({_PROCESSES, Capability.NAMES_CALLS}),
    process_checks.check_timeout: frozenset({Capability.ENFORCES_TIMEOUTS}),
    process_checks.check_patient_timeout: frozenset({Capability.ENFORCES_TIMEOUTS}),
    process_checks.check_memory: frozenset({Capability.LIMITS_MEMORY}),
    optional_checks.check_interrupt: frozenset({Capability.INTERRUPTS}),
    optional_checks.check_late_workers: frozenset({Capability.VARIES_WORKERS}),
    optional_checks.check_lost_worker: frozenset({Capability.VARIES_WORKERS}),
    optional_checks.check_more_workers: frozenset({Capability.VARIES_WORKERS}),
    optional_checks.check_no_more_workers: frozenset({Capability.VARIES_WORKERS}),
}


@dataclass(frozen=True, eq=False)
class ContractCheck:
    """One rule of the contract, for one executor.

    Attributes:
        name: A short name, such as ``"dying_worker"``.
        description: What it checks, as a sentence.
        missing: The capabilities that the rule is about and the executor doesn't claim.
    """

    name: str
    description: str
    missing: frozenset[Capability]
    _behaviour: Behaviour
    _factory: ExecutorFactory
    _changes: WorkerChanges | None
    _folder: Path | None
    _patience_seconds: float

    def __str__(self) -> str:
        return self.name

    def run(self) -> None:
        """Check the rule with an executor that is opened for it and closed afterwards.

        Raises:
            ExecutorContractError: The executor breaks the rule.
        """
        # A step that a broken executor leaves running may write into the folder as it is removed.
        with tempfile.TemporaryDirectory(dir=self._folder, ignore_cleanup_errors=True) as folder:
            case = ExecutorCase(self._factory, Path(folder), self._patience_seconds, self._changes)
            with contextlib.closing(case):
                self._behaviour(case)


@dataclass(frozen=True)
class ContractReport:
    """Which rules an executor keeps.

    Attributes:
        passed: The names of the checks that passed.
        failed: The errors of the checks that failed, by name.
        unclaimed: The capabilities that kept a check from being run, by name.
    """

    passed: tuple[str, ...]
    failed: Mapping[str, Exception]
    unclaimed: Mapping[str, frozenset[Capability]]

    def __str__(self) -> str:
        lines = [f"passed     {name}" for name in self.passed]
        lines += [f"FAILED     {name}: {error}" for name, error in self.failed.items()]
        lines += [
            f"unclaimed  {name}: it needs {', '.join(sorted(one.name for one in missing))}"
            for name, missing in self.unclaimed.items()
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class ExecutorContract:
    """The contract for one executor.

    Attributes:
        checks: The checks of rules that hold for it.
        unclaimed: The checks of rules about capabilities that it doesn't claim.
    """

    checks: tuple[ContractCheck, ...]
    unclaimed: tuple[ContractCheck, ...]

    def run(self) -> ContractReport:
        """Run all checks, and report each of them, those that can't be run included."""
        failed: dict[str, Exception] = {}
        for check in self.checks:
            try:
                check.run()
            except Exception as error:
                failed[check.name] = error
        return ContractReport(
            passed=tuple(check.name for check in self.checks if check.name not in failed),
            failed=failed,
            unclaimed={check.name: check.missing for check in self.unclaimed},
        )


def executor_contract(
    factory: ExecutorFactory,
    *,
    changes: WorkerChanges | None = None,
    folder: Path | None = None,
    patience_seconds: float = 30.0,
) -> ExecutorContract:
    """Return the checks of what `Engine` requires of an executor.

    With pytest::

        CONTRACT = executor_contract(MyExecutor())

        @pytest.mark.parametrize("check", CONTRACT.checks, ids=str)
        def test_my_executor(check):
            check.run()

    or without it: ``print(executor_contract(MyExecutor()).run())``. The checks of interrupts need
    the main thread.

    Args:
        factory: The executor, as `Engine` takes it. Its capabilities choose the checks.
        changes: How workers are added and removed; for an executor that has
            ``Capability.VARIES_WORKERS``, and only then.
        folder: A folder that workers can write to as well; the default is this machine's folder
            for temporary files.
        patience_seconds: How long to wait for a result or a worker before a check fails.

    Raises:
        InvalidOptionError: ``changes`` is missing, or doesn't fit the capabilities.
    """
    _check_changes(changes, factory)
    checks = [
        ContractCheck(
            name=behaviour.__name__.removeprefix("check_"),
            description=inspect.getdoc(behaviour) or "",
            missing=needs - frozenset(factory.capabilities),
            _behaviour=behaviour,
            _factory=factory,
            _changes=changes,
            _folder=folder,
            _patience_seconds=patience_seconds,
        )
        for behaviour, needs in _NEEDS.items()
    ]
    return ExecutorContract(
        checks=tuple(check for check in checks if not check.missing),
        unclaimed=tuple(check for check in checks if check.missing),
    )


def _check_changes(changes: WorkerChanges | None, factory: ExecutorFactory) -> None:
    varies = Capability.VARIES_WORKERS in factory.capabilities
    if varies != (changes is not None):
        raise InvalidOptionError(
            "changes is required for an executor that claims Capability.VARIES_WORKERS, and only "
            f"then; this one {'claims' if varies else 'does not claim'} it.",
            option="changes",
        )
