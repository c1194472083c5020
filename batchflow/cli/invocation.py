"""One call of the command line, and the exit code of however it ended."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import click

from batchflow.cli.exit_code import ExitCode
from batchflow.cli.group import batchflow
from batchflow.cli.interruption import Interruption
from batchflow.cli.output import note
from batchflow.cli.streams import flush_or_discard, is_output_error, open_closed_streams
from batchflow.cli.target import BrokenModuleError
from batchflow.errors import BatchflowError, StoreHeldError

_SIGINT_EXIT_CODE = 130


def invoke(arguments: Sequence[str] | None = None) -> int:
    """Execute one command, by default the process's own arguments; answer its exit code."""
    open_closed_streams()
    with Interruption() as interruption:
        try:
            return _executed(arguments)
        except BaseException as error:
            if interruption.exit_code is not None:
                note("Stopped.")
                return interruption.exit_code
            return _exit_code_of(error)
        finally:
            flush_or_discard()


def _executed(arguments: Sequence[str] | None) -> int:
    given, stdout = None if arguments is None else list(arguments), sys.stdout
    try:
        code = batchflow.main(args=given, prog_name="batchflow", standalone_mode=False)
    except SystemExit:
        # Where nobody reads its texts to the end, click has put another stream in stdout's place.
        if sys.stdout is stdout:
            raise
        return ExitCode.DONE
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
        case _:
            # Python's own exit code would be 1, which says something else here.
            note(_told(error))
            return ExitCode.FAILED


def _told(error: BaseException) -> str:
    match error:
        case BatchflowError():
            return f"batchflow: {error}"
        case BrokenModuleError():
            return str(error)
        case OSError() if is_output_error(error):
            return f"batchflow: the output can't be written: {error.strerror}."
        case _:
            return "".join(traceback.format_exception(error))
