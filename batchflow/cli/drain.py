"""Run an engine until idle, and derive the exit code from its report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchflow.cli.exit_code import ExitCode
from batchflow.cli.option_names import with_command_line_names
from batchflow.cli.output import note, prints_to_stderr
from batchflow.errors import BatchflowError

if TYPE_CHECKING:
    from batchflow.engine import Engine, Report


def run_until_idle(engine: Engine, *, quiet: bool, **options: Any) -> Report:
    """Run until no run is runnable; if a signal ends that, print how to continue."""
    try:
        with prints_to_stderr():
            return engine.run(progress=False if quiet else None, **options)
    except (KeyboardInterrupt, SystemExit):
        report = engine.last_report
        note(
            f"Stopped{'' if report is None else f': {report.headline}'}. Committed work is kept. "
            "Give the same command again to continue; files that were loaded are skipped."
        )
        raise


def failure_in_words(error: BaseException) -> str:
    """Return why a command failed, without values of the user's objects."""
    match error:
        case BatchflowError():
            return with_command_line_names(str(error))
        case KeyboardInterrupt() | SystemExit():
            return "A signal ended the command."
        case _:
            return f"The command failed with {type(error).__name__}."


def exit_code_of(report: Report) -> ExitCode:
    """Return the exit code for a drain; the state in which it found older runs doesn't matter."""
    if report.left:
        return ExitCode.CUT_SHORT
    unfinished = report.newly_paused or report.waiting_for_retry
    return ExitCode.UNFINISHED if unfinished else ExitCode.DONE
