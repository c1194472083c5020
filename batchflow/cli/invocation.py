"""One call of the command line, and the exit code of however it ended."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

import click

from batchflow.cli.exit_code import ExitCode
from batchflow.cli.group import batchflow
from batchflow.cli.interruption import Interruption
from batchflow.cli.output import note
from batchflow.cli.target import BrokenModuleError
from batchflow.errors import BatchflowError, StoreHeldError

_SIGINT_EXIT_CODE = 130


def invoke(arguments: Sequence[str] | None = None) -> int:
    """Execute one command, by default the process's own arguments; answer its exit code."""
    with Interruption() as interruption:
        try:
            return _executed(arguments)
        except BaseException as error:
            if interruption.exit_code is not None:
                note("Stopped.")
                return interruption.exit_code
            return _exit_code_of(error)


def _executed(arguments: Sequence[str] | None) -> int:
    code = batchflow.main(
        args=None if arguments is None else list(arguments),
        prog_name="batchflow",
        standalone_mode=False,
    )
    return int(code or ExitCode.DONE)


def _exit_code_of(error: BaseException) -> int:
    match error:
        case click.ClickException():
            error.show()
            return error.exit_code
        case click.Abort() | KeyboardInterrupt():
            return _SIGINT_EXIT_CODE
        case SystemExit():
            return error.code if isinstance(error.code, int) else ExitCode.FAILED
        case StoreHeldError():
            note(f"batchflow: {error}")
            return ExitCode.HELD
        case BatchflowError() | BrokenModuleError():
            note(f"batchflow: {error}" if isinstance(error, BatchflowError) else str(error))
            return ExitCode.FAILED
        case _:
            # Python's own exit code would be 1, which says something else here.
            note("".join(traceback.format_exception(error)))
            return ExitCode.FAILED
