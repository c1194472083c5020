"""Letting an engine run, and what its report means for the exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchflow.cli.exit_code import ExitCode
from batchflow.cli.output import note, prints_to_stderr

if TYPE_CHECKING:
    from batchflow.engine import Engine, Report


def run_until_idle(engine: Engine, *, quiet: bool, **how: Any) -> Report:
    """Run until nothing is runnable; when a signal ends it, say how it goes on."""
    try:
        with prints_to_stderr():
            return engine.run(progress=False if quiet else None, **how)
    except (KeyboardInterrupt, SystemExit):
        note("Stopped. What was committed is kept: give the same command again to go on.")
        raise


def exit_code_of(report: Report) -> ExitCode:
    """Return whether runs need attention or wait for a retry."""
    unfinished = report.paused or report.waiting_for_retry
    return ExitCode.UNFINISHED if unfinished else ExitCode.DONE
